"""S3 through boto3: the only place that imports it, and not before the first question."""

from __future__ import annotations

import os
from threading import Lock

from ..errors import OriginUnavailableError
from . import Reply, scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ..errors import TmpCacheError

#: As many idle connections as there may be threads; botocore keeps 10 and warns about the others.
_CONNECTIONS = 64
#: Seconds. botocore waits a minute for each: longer than many functions live.
_CONNECT_TIMEOUT, _READ_TIMEOUT = 5, 20


class S3Origin:
    """Objects in S3, or in whatever speaks its language.

    Without `client` one is made when it is first needed, from the environment as boto3 does it,
    and made anew in a forked child. `request_options` go along with every request
    (``ExpectedBucketOwner``, ``RequestPayer``, ``SSECustomerKey``, …).
    """

    def __init__(
        self, client: Any = None, request_options: Mapping[str, str] | None = None
    ) -> None:
        self._options = dict(request_options or {})
        self._given, self._client = client, client
        self._name: str | None = None
        self._scope: str | None = None
        self._forked()

    @property
    def name(self) -> str:
        """The endpoint, or the partition of AWS."""
        if self._name is None:
            if self._given is None:
                self._name = scope.name_from_environment()
            if self._name is None:
                meta = self._connected().meta
                self._name = scope.origin_name(meta.endpoint_url, meta.region_name)
        return self._name

    @property
    def scope(self) -> str | None:
        """Who asks, hashed; None as long as that is not known."""
        if self._scope is None:
            asking = scope.of_environment() if self._given is None else None
            if asking is None and self._client is not None:
                asking = _scope_of(self._client)
            if asking is not None:
                options = [text for pair in sorted(self._options.items()) for text in pair]
                self._scope = scope.hashed(asking, *options)
        return self._scope

    def get(
        self,
        bucket: str,
        key: str,
        version_id: str | None = None,
        *,
        if_none_match: str = "",
        if_match: str = "",
        start: int = 0,
    ) -> Reply | None:
        """One GetObject; None if it is still what `if_none_match` says."""
        from .s3_errors import status_of

        wanted = {
            "VersionId": version_id,
            "IfNoneMatch": if_none_match,
            "IfMatch": if_match,
            "Range": f"bytes={start}-" if start else None,
        }
        asked = {name: value for name, value in wanted.items() if value}
        try:
            response = self._connected().get_object(
                Bucket=bucket, Key=key, **asked, **self._options
            )
        except Exception as error:
            if status_of(error) == 304 and if_none_match:
                return None
            if status_of(error) == 501 and if_match:  # a store without If-Match; ETags tell as well
                return self.get(bucket, key, version_id, start=start)
            raise _translated(error, bucket, key, version_id) from error
        body = _S3Body(response["Body"], bucket, key, version_id)
        etag = response.get("ETag", "")
        if if_none_match and etag == if_none_match:  # a store that answers 200 where S3 says 304
            body.close()
            return None
        first, size = _span(response)
        return Reply(body, etag, size, response.get("VersionId"), first)

    def close(self) -> None:
        """Close the connections of a client that was made here."""
        if self._given is None and self._client is not None:
            self._client.close()
            self._client = None

    def _connected(self) -> Any:
        if self._pid != os.getpid():
            # Connections shared with the parent would bring the answers to its questions.
            if self._client is not None:
                self._client.close()
            self._client = self._given
            self._forked()
        client = self._client
        if client is None:
            with self._lock:  # making clients is not thread-safe (boto3 issue 2750)
                if self._client is None:
                    self._client = _make_client()
                    self._name = self._scope = None  # as the environment is now, so is the client
                client = self._client
        return client

    def _forked(self) -> None:
        self._pid, self._lock = os.getpid(), Lock()
        if self._given is not None:
            _repair(self._given)


class _S3Body:
    """A botocore body whose errors are ours."""

    __slots__ = ("_names", "_stream")

    def __init__(self, stream: Any, bucket: str, key: str, version_id: str | None) -> None:
        self._stream, self._names = stream, (bucket, key, version_id)

    def readinto(self, buffer: memoryview, /) -> int:
        try:
            return int(self._stream.readinto(buffer))
        except Exception as error:
            raise _translated(error, *self._names) from error

    def close(self) -> None:
        self._stream.close()


def _make_client() -> Any:
    try:
        import boto3
        import botocore.session
        from botocore.config import Config
    except ImportError as error:  # pragma: no cover - a broken installation
        raise OriginUnavailableError(f"boto3 cannot be imported ({error}): install it") from error
    config = Config(
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=_READ_TIMEOUT,
        max_pool_connections=_CONNECTIONS,
        tcp_keepalive=True,
    )
    session = boto3.Session(botocore_session=botocore.session.Session())
    client = session.client("s3", config=config)
    _repair(client)
    return client


def _repair(client: Any) -> None:
    """Let a 304 with checksum headers through, on which botocore fails (boto3 issue 4765).

    It wraps the empty body of the error for checking, and then cannot parse what it wrapped.
    """

    def unwrap(response_dict: dict[str, Any], **_: object) -> None:
        if response_dict["status_code"] >= 300 and not isinstance(response_dict["body"], bytes):
            response_dict["body"] = b""

    client.meta.events.register_last(
        "before-parse.s3.GetObject", unwrap, unique_id="tmpcache-unwrap-errors"
    )


def _scope_of(client: Any) -> str | None:
    """Whom a client asks as, if its credentials are resolved: never a request just for that."""
    from botocore import UNSIGNED
    from botocore.credentials import RefreshableCredentials

    if client.meta.config.signature_version is UNSIGNED:
        return scope.hashed("anonymous")
    credentials = getattr(getattr(client, "_request_signer", None), "_credentials", None)
    if isinstance(credentials, RefreshableCredentials):  # its properties would ask for new ones
        credentials = getattr(credentials, "_frozen_credentials", None)
    if credentials is None or not credentials.access_key:
        return None
    return scope.of_keys(credentials.access_key, credentials.secret_key, credentials.token)


def _span(response: Mapping[str, Any]) -> tuple[int, int | None]:
    """Where the body begins in the object, and how long the object is."""
    length = response.get("ContentLength")
    kind, _, span = str(response.get("ContentRange") or "").partition(" ")
    if kind != "bytes":
        return 0, length
    first, _, rest = span.partition("-")
    total = rest.partition("/")[2]
    return int(first), int(total) if total.isdigit() else None


def _translated(error: Exception, bucket: str, key: str, version: str | None) -> TmpCacheError:
    from ..objects import ObjectName
    from .s3_errors import translate

    return translate(error, bucket, key, str(ObjectName("", bucket, key, version)))
