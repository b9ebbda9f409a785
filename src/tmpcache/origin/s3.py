"""S3 through boto3: the only place that imports it, and not before the first question."""

from __future__ import annotations

import os
import sys
from threading import Lock, local

from ..errors import DeadlineExceededError, OriginUnavailableError
from ..interruption import let_through
from . import Listed, scope
from .s3_errors import named, status_of, translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, BinaryIO

    from ..deadline import Deadline
    from . import Reply


#: As many idle connections as there may be threads; botocore keeps 10 and warns about the others.
_CONNECTIONS = 64
#: Seconds to wait for a connection, and for the next bytes. botocore waits a minute for each:
#: longer than many functions live. A call with less time than that gets a client with less
#: patience; botocore has no time-out for one call.
CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 20.0
_LESS_PATIENT = (10.0, 5.0, 2.0, 1.0, 0.5)
#: botocore waits up to this many seconds before its second attempt.
_BACKOFF = 1.0
#: Options of a GetObject that a ListObjectsV2 has, too.
_FOR_LISTING = {"ExpectedBucketOwner", "RequestPayer"}


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
        self._given = client
        #: Clients made here, by their read time-out in seconds.
        self._made: dict[float, Any] = {}
        self._name: str | None = None
        self._identity: tuple[str | None, str | None] = (None, None)
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
        """Who asks, hashed; None as long as that is not known.

        Until there is a client, that is who the environment says right now.
        """
        if not self._made and self._given is None:
            identity = (os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_PROFILE"))
            if identity != self._identity:
                self._identity, self._name, self._scope = identity, None, None
        if self._scope is None:
            asking = scope.of_environment() if self._given is None else None
            for client in [self._given] if self._given is not None else [*self._made.values()]:
                asking = asking or _scope_of(client)
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
        end: int | None = None,
        deadline: Deadline | None = None,
    ) -> Reply | None:
        """One GetObject; None if it is still what `if_none_match` says.

        With a client of the caller's, its time-outs decide how long the answer may take, whatever
        the `deadline`; the body is cut off in time in any case.
        """
        from .s3_body import reply_from

        asked = {"Bucket": bucket, "Key": key, **self._options}
        if version_id:
            asked["VersionId"] = version_id
        if if_none_match:
            asked["IfNoneMatch"] = if_none_match
        if if_match:
            asked["IfMatch"] = if_match
        whole = not start and end is None
        if not whole:
            asked["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        subject = (bucket, key, version_id)
        client = self._connected(deadline)
        try:
            _call.deadline, _call.subject = deadline, subject
            response = client.get_object(**asked)
        except DeadlineExceededError:
            raise
        except Exception as error:
            if status_of(error) == 304 and if_none_match:
                return None
            if status_of(error) == 501 and if_match:  # a store without If-Match; ETags tell as well
                return self.get(bucket, key, version_id, start=start, end=end, deadline=deadline)
            raise translated(error, subject) from error
        finally:
            _call.deadline = None
        reply = reply_from(response, subject, deadline, whole=whole)
        if if_none_match and reply.etag == if_none_match:  # a store that says 200 for 304
            reply.body.close()
            return None
        return reply

    def list(
        self, bucket: str, prefix: str, *, deadline: Deadline | None = None
    ) -> Iterator[Listed]:
        """ListObjectsV2, page by page."""
        subject = (bucket, f"{prefix}*", None)
        client = self._connected(deadline)
        options = {name: self._options[name] for name in _FOR_LISTING & self._options.keys()}
        pages = iter(
            client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=prefix, **options
            )
        )
        while True:
            if deadline is not None:
                deadline.check(named(subject))
            try:
                _call.deadline, _call.subject = deadline, subject
                page = next(pages, None)
            except Exception as error:
                raise translated(error, subject, "s3:ListBucket") from error
            finally:
                _call.deadline = None
            if page is None:
                return
            for found in page.get("Contents", ()):
                yield Listed(found["Key"], found["ETag"], found["Size"])

    def put(
        self,
        bucket: str,
        key: str,
        body: BinaryIO,
        size: int,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
        content_type: str | None = None,
        deadline: Deadline | None = None,
    ) -> tuple[str, str | None]:
        """Store an object; its ETag and version. Nothing changes when a condition does not hold."""
        from .s3_upload import upload

        subject = (bucket, key, None)
        conditions = {"IfMatch": if_match, "IfNoneMatch": if_none_match}
        options = {**self._options, "ContentType": content_type}
        try:
            client = self._connected(deadline)
            _call.deadline, _call.subject = deadline, subject
            return upload(
                client,
                bucket,
                key,
                body,
                size,
                conditions={name: value for name, value in conditions.items() if value},
                options={name: value for name, value in options.items() if value},
                check=lambda: deadline.check(named(subject)) if deadline is not None else None,
            )
        except DeadlineExceededError:
            raise
        except Exception as error:
            raise translated(error, subject) from error
        finally:
            _call.deadline = None

    def close(self) -> None:
        """Close the connections of clients that were made here."""
        while self._made:
            self._made.popitem()[1].close()

    def _connected(self, deadline: Deadline | None = None) -> Any:
        if self._pid != os.getpid():
            # Connections shared with the parent would bring the answers to its questions.
            if self._given is not None:
                self._given.close()
            self.close()
            self._forked()
        if self._given is not None:
            return self._given
        timeout = patience(deadline)
        client = self._made.get(timeout)
        if client is None:
            with self._lock:  # making clients is not thread-safe (boto3 issue 2750)
                client = self._made.get(timeout)
                if client is None:
                    client = _make_client(timeout)
                    if not self._made:  # as the environment is now, so is the client
                        self._name = self._scope = None
                    self._made[timeout] = client
        return client

    def _forked(self) -> None:
        self._pid, self._lock = os.getpid(), Lock()
        if self._given is not None:
            _repair(self._given)


def patience(deadline: Deadline | None) -> float:
    """Seconds that a call with this deadline may wait for the next bytes."""
    if deadline is None or (left := deadline.remaining()) >= READ_TIMEOUT:
        return READ_TIMEOUT
    return next((less for less in _LESS_PATIENT if less <= left), _LESS_PATIENT[-1])


#: What the call under way in a thread is about, for the hooks in its client.
_call = local()


def _give_up_in_time(timeout: float) -> Callable[..., None]:
    """A hook that ends botocore's retries when there is no time for another one."""

    def hook(response: Any = None, caught_exception: Any = None, **_: object) -> None:
        deadline = getattr(_call, "deadline", None)
        failed = caught_exception is not None or response is None or response[0].status_code >= 500
        if deadline is not None and failed and deadline.asks_once:
            raise OriginUnavailableError(f"{named(_call.subject)}: S3 fails or throttles")
        if deadline is not None and failed and deadline.remaining() < timeout + _BACKOFF:
            raise deadline.exceeded(named(_call.subject)) from caught_exception

    return hook


def _end_with_a_signal(caught_exception: Exception | None = None, **_: object) -> None:
    """A hook that keeps botocore from asking again after a signal handler has ended a request."""
    here = sys._getframe(1) if caught_exception is not None else None
    while here is not None and here.f_globals.get("__package__") != __package__:
        here = here.f_back
    if here is not None and caught_exception is not None:  # it was asked from here
        let_through(caught_exception, here)


def _make_client(timeout: float) -> Any:
    try:
        import boto3
        import botocore.session
        from botocore.config import Config
    except ImportError as error:  # pragma: no cover - a broken installation
        raise OriginUnavailableError(f"boto3 cannot be imported ({error}): install it") from error
    config = Config(
        connect_timeout=min(timeout, CONNECT_TIMEOUT),
        read_timeout=timeout,
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
    client.meta.events.register_first(
        "needs-retry.s3",
        _give_up_in_time(client.meta.config.read_timeout or READ_TIMEOUT),
        unique_id="tmpcache-give-up-in-time",
    )
    client.meta.events.register_first(
        "needs-retry.s3", _end_with_a_signal, unique_id="tmpcache-end-with-a-signal"
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
