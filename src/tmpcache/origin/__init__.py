"""Everything on the wire: where objects come from.

This wing knows nothing of the disk. An origin answers one question: what is this object now, given
what I have of it? :mod:`.s3` asks S3 through boto3; :mod:`.download` brings a body home through
whatever breaks on the way; :mod:`.scope` says who is asking.

Another origin is one more file with a class that fits :class:`Origin`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO, Protocol

    from ..common.deadline import Deadline

    class Body(Protocol):
        """A response body under way."""

        def read(self, buffer: memoryview, /) -> memoryview:
            """The next bytes, empty at the end; in `buffer`, or where the origin has them anyway.

            Good until the next call. Raises :class:`~tmpcache.errors.OriginUnavailableError` when
            the body breaks.
            """

        def interrupt(self) -> None:
            """Called by another thread: a :meth:`read` under way shall not wait any longer."""

        def close(self) -> None:
            """Give the connection up, read or not."""

    class Origin(Protocol):
        """Where objects come from.

        All calls raise :class:`~tmpcache.errors.OriginError` or one of its subclasses.
        """

        @property
        def name(self) -> str:
            """What tells this origin from others: the same bucket elsewhere is another bucket."""

        @property
        def scope(self) -> str | None:
            """Who would ask now, hashed; None if that is not known (then nothing is fresh)."""

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
        ) -> Reply | Unchanged | None:
            """The object, or its bytes from `start` up to before `end`, with ``Range``.

            `Unchanged` (or None) if it still has the ETag `if_none_match`; raises
            :class:`~tmpcache.errors.ObjectChangedError` if it no longer has the ETag `if_match`.
            Waits for nothing past the `deadline`, neither here nor in the body. May be called by
            many threads at once.
            """

        def close(self) -> None:
            """Give connections up."""

    class ListableOrigin(Origin, Protocol):
        """One that can say what is in a bucket."""

        def list(
            self, bucket: str, prefix: str, *, deadline: Deadline | None = None
        ) -> Iterator[Listed]:
            """All objects whose keys begin with `prefix`; 1,000 of them cost a request."""

    class WritableOrigin(Origin, Protocol):
        """One that objects can be stored in as well."""

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
        ) -> tuple[str, str | None] | tuple[str, str | None, str | None]:
            """Store `size` bytes of `body` as an object; its ETag, version and, if known, scope.

            `request_options` are given only if the caller has some.

            Raises :class:`~tmpcache.errors.ObjectChangedError` if a condition does not hold.
            """


#: The scope of an answer whose origin does not say who was answered.
UNSAID = ""


class Reply:
    """An object, or a range of it, as the origin begins to send it."""

    __slots__ = (
        "asked_at",
        "body",
        "checksum",
        "end",
        "etag",
        "scope",
        "size",
        "start",
        "version_id",
    )

    def __init__(
        self,
        body: Body,
        etag: str,
        size: int | None,
        version_id: str | None,
        start: int = 0,
        end: int | None = None,
        checksum: str = "",
        scope: str | None = UNSAID,
    ) -> None:
        self.body = body
        #: From the same response as the body; "" if the origin sent none.
        self.etag = etag
        #: Length of the whole object in bytes, None if the origin did not say.
        self.size = size
        self.version_id = version_id
        #: The byte of the object that the body begins at, and the one that it ends before.
        self.start, self.end = start, size if end is None else end
        #: Of the whole object, to be given to :class:`tmpcache.checksum.Checksum`; "" for none.
        self.checksum = checksum
        #: Who signed the request that this answers.
        self.scope = scope
        #: When it was asked, noted by who asked: the answer is no younger than that.
        self.asked_at = 0.0


class Unchanged:
    """The object is still what the question said."""

    __slots__ = ("asked_at", "scope")

    def __init__(self, scope: str | None = UNSAID) -> None:
        #: Who signed the question, and when it was asked.
        self.scope, self.asked_at = scope, 0.0


class Listed:
    """An object as a listing names it.

    Its ETag is the one that a GET would answer with, quotes aside; "" if the listing has none.
    """

    __slots__ = ("etag", "key", "scope", "size")

    def __init__(self, key: str, etag: str, size: int, scope: str | None = UNSAID) -> None:
        self.key, self.etag, self.size = key, etag, size
        #: Who signed the request for this page of the listing.
        self.scope = scope


def scope_of(origin: Origin, said: str | None) -> str | None:
    """The scope that came with an answer, or else the one that the origin has now."""
    return origin.scope if said == UNSAID else said
