"""What an origin returns. No dataclasses: importing them costs 5 ms, and a hit imports this."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .body import Body

#: The scope of a response if its origin does not say with each one whose credentials signed the
#: request. Then the scope of the origin counts (:func:`scope_of`). None is something else: the
#: credentials are not known, so the copy is used for this call, and confirmed to nobody.
UNSAID = ""


class Reply:
    """A response with a body: an object, or some bytes of it."""

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
        #: From the same response as the body, quotes included; "" if the origin sent none.
        self.etag = etag
        #: Length of the whole object in bytes; None if the origin did not say.
        self.size = size
        self.version_id = version_id
        #: The byte of the object that the body begins at, and the one that it ends before.
        self.start, self.end = start, size if end is None else end
        #: Of the whole object, as :class:`tmpcache.common.checksum.Checksum` takes it; "" for none.
        self.checksum = checksum
        #: A hash of the credentials that signed the request; None if they are not known;
        #: :data:`UNSAID`: that of the origin.
        self.scope = scope
        #: When the request was sent, by the cache's clock; the fetcher sets it. The response is no
        #: older than that.
        self.asked_at = 0.0


class Unchanged:
    """A response without a body: the object still has the ETag in ``If-None-Match``."""

    __slots__ = ("asked_at", "scope")

    def __init__(self, scope: str | None = UNSAID) -> None:
        #: As those of :class:`Reply`.
        self.scope, self.asked_at = scope, 0.0


class Listed:
    """An object as a listing names it.

    Its ETag is the one that a GET would answer with, quotes aside; "" if the listing has none.
    """

    __slots__ = ("date", "etag", "key", "scope", "size")

    def __init__(
        self,
        key: str,
        etag: str,
        size: int,
        scope: str | None = UNSAID,
        date: float | None = None,
    ) -> None:
        self.key, self.etag, self.size = key, etag, size
        #: When the origin answered, by its own clock; None if it does not say.
        self.date = date
        #: A hash of the credentials that signed the request for this page of the listing.
        self.scope = scope
