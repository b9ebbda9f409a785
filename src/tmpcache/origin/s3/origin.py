"""S3 through boto3, which is not imported before the first question."""

from __future__ import annotations

import os
from threading import Lock

from ...common.forking import reset_in_children
from ...errors import ConfigError, DeadlineExceededError, OriginError
from .. import Listed, Unchanged, scope
from . import parameters
from .errors import named, refuses_condition, status_of, translated
from .signing import Question, Signer, here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, BinaryIO, TypeVar

    from ...common.deadline import Deadline
    from .. import Reply
    from ..scope import Keys
    from .errors import Subject

    T = TypeVar("T")


_CONDITIONS = {"IfMatch", "IfNoneMatch"}


class S3Origin:
    """Objects in S3, or in whatever speaks its language.

    Without `client` one is made when it is first needed, from the environment as boto3 does it,
    and made anew in a forked child. `request_options` go along with every request
    (``ExpectedBucketOwner``, ``RequestPayer``, ``SSECustomerKey``, …).
    """

    def __init__(
        self, client: Any = None, request_options: Mapping[str, str] | None = None
    ) -> None:
        self._options = parameters.checked(request_options)
        self._given = client
        #: Of the client in use; a client of the parent's, whose connections are not ours.
        self._signer: Signer | None = None
        self._left: Any = None
        #: What the environment says; the name and the keys that this means.
        self._seen: tuple[list[object], str | None, Keys | None] = [], None, None
        #: The last name and keys, and their scope.
        self._scoped: tuple[str, Keys, str] = "", scope.ANONYMOUS, ""
        #: The scope and the name, where they cannot change any more.
        self._settled: str | None = None
        self._settled_name: str | None = None
        self.forked()
        reset_in_children(self)

    @property
    def name(self) -> str:
        """The endpoint, or the partition of AWS."""
        return self._known_name() or self._signing().name

    @property
    def scope(self) -> str | None:
        """Who would ask now, hashed; None if that is not known.

        As long as there is no client, that is who the environment says right now.
        """
        if self._settled is not None:
            return self._settled
        signer = self._signer
        if signer is not None:
            return self._scope_of(signer.name, signer.next())
        return self._scope_of(self._known_name(), self._seen[2])

    def _known_name(self) -> str | None:
        """The name, if it takes no client to tell."""
        if self._settled_name is not None:
            return self._settled_name
        signer = self._signer
        if signer is not None:
            return signer.name
        environment = scope.variables()
        if not environment[0]:  # the keys are in files
            environment += scope.files()
        if environment != self._seen[0]:
            name, keys = scope.name_from_environment(), scope.keys_of_environment()
            self._seen = environment, name, keys
        return self._seen[1]

    def _scope_of(self, name: str | None, keys: Keys | None) -> str | None:
        if name is None or keys is None:
            return None
        known_name, known, scoped = self._scoped
        if keys != known or name != known_name:
            options = [str(text) for pair in sorted(self._options.items()) for text in pair]
            scoped = scope.hashed(name, *keys, *options)
            self._scoped = name, keys, scoped
        return scoped

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
    ) -> Reply | Unchanged:
        """One GetObject.

        With a client of the caller's, its time-outs decide how long the answer may take, whatever
        the `deadline`; the body is cut off in time in any case.
        """
        from .body import reply_from

        asked = {"Bucket": bucket, "Key": key}
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

        def send(client: Any) -> Any:
            if self._options:
                asked.update(parameters.of(client, "GetObject", self._options))
            return _get_object(client, asked)

        response, told = self._ask(subject, deadline, send)
        if response is None:
            return Unchanged(told)
        reply = reply_from(response, subject, deadline, whole=whole)
        reply.scope = told
        if if_none_match and reply.etag == if_none_match:  # a store that says 200 for 304
            reply.body.close()
            return Unchanged(told)
        return reply

    def list(
        self, bucket: str, prefix: str, *, deadline: Deadline | None = None
    ) -> Iterator[Listed]:
        """ListObjectsV2, page by page."""
        subject = (bucket, f"{prefix}*", None)
        pages: Any = None

        def next_page(client: Any) -> Any:
            nonlocal pages
            if pages is None:
                options = parameters.of(client, "ListObjectsV2", self._options)
                paginator = client.get_paginator("list_objects_v2")
                pages = iter(paginator.paginate(Bucket=bucket, Prefix=prefix, **options))
            return next(pages, None)

        while True:
            if deadline is not None:
                deadline.check(named(subject))
            page, told = self._ask(subject, deadline, next_page, "s3:ListBucket")
            if page is None:
                return
            for found in page.get("Contents", ()):
                yield Listed(found["Key"], found.get("ETag", ""), found.get("Size", 0), told)
            if page.get("IsTruncated") and not page.get("NextContinuationToken"):
                raise OriginError(
                    f"{named(subject)}: the listing ends after {len(page.get('Contents', ()))} "
                    "keys although there are more: the store does not speak ListObjectsV2. Fetch "
                    "the objects by their keys.",
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
        """Store an object; its ETag, version and who stored it.

        Nothing changes when a condition does not hold. `request_options` go along as well.
        """
        from .upload import upload

        subject = (bucket, key, None)
        conditions = {"IfMatch": if_match, "IfNoneMatch": if_none_match}
        more = parameters.checked(request_options)
        options = {**self._options, "ContentType": content_type, **more}

        def send(client: Any) -> tuple[str, str | None]:
            parameters.known(client, more)
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

        (etag, version_id), told = self._ask(subject, deadline, send, "s3:PutObject")
        if any(parameters.has(self._connected(), "GetObject", name) for name in more):
            told = None  # who asks for it without these is somebody else
        return etag, version_id, told

    def close(self) -> None:
        """Close the connections of a client that was made here."""
        if self._given is None:
            signer, self._signer = self._signer, None
            if signer is not None:
                signer.client.close()

    def forked(self) -> None:
        """In a child: a client made here was the parent's, who may have been somebody else."""
        self._pid, self._lock = os.getpid(), Lock()
        self._left = None if self._signer is None else self._signer.client
        self._signer = None if self._given is None else self._signer_of(self._given)

    def _ask(
        self,
        subject: Subject,
        deadline: Deadline | None,
        send: Callable[[Any], T],
        right: str = "s3:GetObject",
    ) -> tuple[T, str | None]:
        """What the client answers, and the scope that signed the question; errors are ours."""
        signer = self._signing()
        outer, here.question = here.question, Question(signer, subject, deadline)
        try:
            parameters.known(signer.client, self._options)
            return send(signer.client), self._told(here.question)
        except (ConfigError, DeadlineExceededError):
            raise
        except Exception as error:
            raise translated(error, subject, right, self._told(here.question)) from error
        finally:
            here.question = outer

    def _told(self, asked: Question) -> str | None:
        """Who signed what was sent last. A stand-in for S3 answers before anything is sent."""
        keys = asked.keys if asked.is_sent else asked.signer.next()
        return self._scope_of(asked.signer.name, keys)

    def _connected(self) -> Any:
        return self._signing().client

    def _signing(self) -> Signer:
        """The client in use and its signatures."""
        if self._pid != os.getpid():
            self.forked()
        left, self._left = self._left, None
        if left is not None:  # or answers to the parent's questions would arrive here
            left.close()
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

        repair(client)
        return Signer(client, scope.origin_name(client.meta.endpoint_url, client.meta.region_name))


def _get_object(client: Any, asked: dict[str, Any]) -> Any:
    """The response to a GetObject; None if it is still what was said in ``IfNoneMatch``."""
    try:
        return client.get_object(**asked)
    except Exception as error:
        if status_of(error) == 304 and "IfNoneMatch" in asked:
            return None
        if not refuses_condition(error, *(name for name in _CONDITIONS if name in asked)):
            raise
    # The ETag of the answer tells as well.
    return client.get_object(**{name: asked[name] for name in asked.keys() - _CONDITIONS})
