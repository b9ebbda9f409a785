"""S3 through boto3, which is imported with the first request."""

from __future__ import annotations

import os
from threading import Lock

from ...common.forking import reset_in_children
from ...errors import ConfigError, DeadlineExceededError, OriginError
from .. import Unchanged
from .. import scope as scopes
from ..scope import ANONYMOUS
from . import parameters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, BinaryIO, TypeVar, Unpack

    from ...common.deadline import Deadline
    from .. import Listed, Reply
    from ..protocol import GetOptions
    from ..scope import Credentials
    from .credentials import ChainCredentials
    from .errors import Subject
    from .signing import Call, Signer

    T = TypeVar("T")


class S3Origin:
    """Objects in S3, or in a server that implements its API.

    Without `client` a client is made for the first request, from the environment as boto3 does it,
    and made anew in a forked child. `request_options` are sent with every request that has such
    parameters (``ExpectedBucketOwner``, ``RequestPayer``, ``SSECustomerKey``, …).
    """

    def __init__(
        self, client: Any = None, request_options: Mapping[str, str] | None = None
    ) -> None:
        self._options = parameters.checked(request_options)
        self._callers_client = client
        #: The client in use, and one that a forked child inherited from its parent.
        self._signer: Signer | None = None
        self._parents_client: Any = None
        #: Variables and files that were read last; the name and the credentials found there.
        self._environment: tuple[list[object], str | None, Credentials | None] = [], None, None
        #: The last name and credentials, and their scope.
        self._last_scope: tuple[str, Credentials, str] = "", ANONYMOUS, ""
        #: The scope and the name, once they cannot change any more.
        self._fixed_scope: str | None = None
        self._fixed_name: str | None = None
        self.forked()
        reset_in_children(self)

    @property
    def name(self) -> str:
        """The endpoint, or the partition of AWS."""
        return self._name_without_client() or self._boto3_signer().name

    @property
    def scope(self) -> str | None:
        """A hash of the credentials that would sign the next request; None if not known.

        As long as there is no client, they are those that the environment has now.
        """
        if self._fixed_scope is not None:
            return self._fixed_scope
        source = self._source()
        if source is not None:
            return self._scope_of(source.name, source.next())
        return self._scope_of(self._name_without_client(), self._environment[2])

    def _source(self) -> Signer | ChainCredentials | None:
        """Return what knows the credentials of the next request; None if nothing does yet."""
        return self._signer

    def _name_without_client(self) -> str | None:
        """Return the name; None if only a client that must be made first knows it."""
        if self._fixed_name is not None:
            return self._fixed_name
        signer = self._signer
        if signer is not None:
            return signer.name
        environment = scopes.variables()
        if not environment[0]:  # the access keys are in files
            environment += scopes.files()
        if environment != self._environment[0]:
            name, credentials = scopes.name_from_environment(), scopes.credentials_of_environment()
            self._environment = environment, name, credentials
        return self._environment[1]

    def _scope_of(self, name: str | None, credentials: Credentials | None) -> str | None:
        if name is None or credentials is None:
            return None
        last_name, last_credentials, hashed = self._last_scope
        if credentials != last_credentials or name != last_name:
            hashed = scopes.of_request(name, credentials, self._options)
            self._last_scope = name, credentials, hashed
        return hashed

    def get(
        self, bucket: str, key: str, version_id: str | None = None, **options: Unpack[GetOptions]
    ) -> Reply | Unchanged:
        """Send one GetObject.

        With a client of the caller's, its time-outs decide how long the response may take, whatever
        the `deadline`; the body is cut off in time in any case.
        """
        from .body import get_object, reply_from

        request = {"Bucket": bucket, "Key": key}
        if version_id:
            request["VersionId"] = version_id
        etag = options.get("if_none_match")
        if etag:
            request["IfNoneMatch"] = etag
        if if_match := options.get("if_match"):
            request["IfMatch"] = if_match
        start, end = options.get("start", 0), options.get("end")
        whole = not start and end is None
        if not whole:
            request["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        subject, deadline = (bucket, key, version_id), options.get("deadline")

        def send(client: Any) -> Any:
            if self._options:
                request.update(parameters.options_for(client, "GetObject", self._options))
            return get_object(client, request)

        response, scope = self._call(subject, deadline, send)
        if response is None:
            return Unchanged(scope)
        reply = reply_from(response, subject, deadline, whole=whole)
        reply.scope = scope
        if etag and reply.etag == etag:  # a server that sends 200 for 304
            reply.body.close()
            return Unchanged(scope)
        return reply

    def list(
        self, bucket: str, prefix: str, *, deadline: Deadline | None = None
    ) -> Iterator[Listed]:
        """List the objects below a prefix, with one ListObjectsV2 for each page."""
        from .errors import named
        from .headers import listed_in

        subject = (bucket, f"{prefix}*", None)
        pages: Any = None

        def next_page(client: Any) -> Any:
            nonlocal pages
            if pages is None:
                options = parameters.options_for(client, "ListObjectsV2", self._options)
                paginator = client.get_paginator("list_objects_v2")
                pages = iter(paginator.paginate(Bucket=bucket, Prefix=prefix, **options))
            return next(pages, None)

        while True:
            if deadline is not None:
                deadline.check(named(subject))
            page, scope = self._call(subject, deadline, next_page, "s3:ListBucket")
            if page is None:
                return
            yield from listed_in(page, scope)
            if page.get("IsTruncated") and not page.get("NextContinuationToken"):
                raise OriginError(
                    f"{named(subject)}: the listing ends after {len(page.get('Contents', ()))} "
                    "keys although there are more: the server does not support ListObjectsV2. "
                    "Fetch the objects by their keys.",
                    bucket=bucket,
                )

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
        request_options: Mapping[str, str] | None = None,
        deadline: Deadline | None = None,
    ) -> tuple[str, str | None, str | None]:
        """Store an object; return its ETag, its version id and the scope that stored it.

        If a condition does not hold, nothing changes. `request_options` are sent as well.
        """
        from .errors import named
        from .upload import upload

        subject = (bucket, key, None)
        conditions = {"IfMatch": if_match, "IfNoneMatch": if_none_match}
        more = parameters.checked(request_options)
        options = {**self._options, "ContentType": content_type, **more}

        def send(client: Any) -> tuple[str, str | None]:
            parameters.refuse_unknown(client, more)
            return upload(
                client,
                subject,
                body,
                size,
                conditions={name: value for name, value in conditions.items() if value},
                options={name: value for name, value in options.items() if value},
                deadline=deadline,
            )

        try:
            (etag, version_id), scope = self._call(subject, deadline, send, "s3:PutObject")
        except DeadlineExceededError as error:
            raise DeadlineExceededError(
                f"{named(subject)}: S3 did not confirm the upload in the time that is left to this "
                "call. Look at the object before you put it again, with more time."
            ) from error
        if any(parameters.has(self._boto3_client(), "GetObject", name) for name in more):
            scope = None  # a GetObject without these options is of another scope
        return etag, version_id, scope

    def close(self) -> None:
        """Close the connections of the client, unless it is the caller's."""
        if self._callers_client is None:
            signer, self._signer = self._signer, None
            if signer is not None:
                signer.client.close()

    def forked(self) -> None:
        """Drop the parent's client: the child may have other credentials."""
        self._pid, self._lock = os.getpid(), Lock()
        self._parents_client = None if self._signer is None else self._signer.client
        self._signer = (
            None if self._callers_client is None else self._signer_of(self._callers_client)
        )

    def _call(
        self,
        subject: Subject,
        deadline: Deadline | None,
        send: Callable[[Any], T],
        permission: str = "s3:GetObject",
    ) -> tuple[T, str | None]:
        """Return what `send` returns and the scope of the request that it sent.

        Raises the errors of tmpcache. An error says which `permission` the credentials need.
        """
        from .signing import Call, current

        signer = self._boto3_signer()
        outer, current.call = current.call, Call(signer, subject, deadline)
        try:
            parameters.refuse_unknown(signer.client, self._options)
            return send(signer.client), self._scope_of_request(current.call)
        except (ConfigError, DeadlineExceededError):
            raise
        except Exception as error:
            from .errors import translated

            raise translated(
                error, subject, permission, self._scope_of_request(current.call)
            ) from error
        finally:
            current.call = outer

    def _scope_of_request(self, call: Call) -> str | None:
        """Return the scope of the last request sent; if none was (mocks), that of the next."""
        credentials = call.credentials if call.was_sent else call.signer.next()
        return self._scope_of(call.signer.name, credentials)

    def _boto3_client(self) -> Any:
        return self._boto3_signer().client

    def _boto3_signer(self) -> Signer:
        """Return the client in use with what knows its credentials; make it if there is none."""
        if self._pid != os.getpid():
            self.forked()
        parents_client, self._parents_client = self._parents_client, None
        if parents_client is not None:  # else responses to the parent's requests would arrive here
            parents_client.close()
        signer = self._signer
        if signer is None:
            with self._lock:  # making clients is not thread-safe (boto3 issue 2750)
                signer = self._signer
                if signer is None:
                    signer = self._signer = self._signer_of(self._make_client())
        return signer

    def _make_client(self) -> Any:
        from .client import make_client

        return make_client()

    def _signer_of(self, client: Any) -> Signer:
        from .client import repair
        from .signing import Signer

        repair(client)
        return Signer(client, scopes.origin_name(client.meta.endpoint_url, client.meta.region_name))
