"""The document ``.tmpcache-listing``: which ETags the objects below a prefix had, and when.

``{"tmpcache-listing": 1, "at": 1764103000.0, "prefix": "micr/", "etags": {"e13b.npz": "…"}}``

It lies beside the objects, and speaks for keys beside and below its own. The keys in it are
relative, so it cannot name others. `at` is when the LIST began. A listing that lies below another
prefix than the one it was made for (somebody has copied a whole prefix) speaks for nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LISTING, PACK = ".tmpcache-listing", ".tmpcache-pack"
#: Why a listing confirms nothing.
MISSING, FORBIDDEN, NOT_RECEIVED = "missing", "forbidden", "not received"
GARBAGE, TOO_LARGE, TOO_OLD, FROM_THE_FUTURE = "garbage", "too large", "too old", "from the future"
_FORMAT = 1
#: Bytes of a listing, and of the first line of a pack: some 150,000 objects. More is not read: to
#: parse it takes several times its size of memory, and small functions have 128 MB.
MOST_BYTES = 16 * 1024 * 1024


def is_own(key: str) -> bool:
    """Return whether an object is one of tmpcache's own, and so none of the user's.

    >>> is_own("micr/.tmpcache-listing"), is_own("micr/e13b.npz"), is_own(".tmpcache-x/e13b.npz")
    (True, False, False)
    """
    return key[key.rfind("/") + 1 :].startswith(".tmpcache-")


class Listing:
    """A listing that was read: when its LIST began, and the ETags by relative key."""

    __slots__ = ("at", "etags")

    def __init__(self, at: float, etags: Mapping[str, object]) -> None:
        self.at, self.etags = at, etags

    def etag(self, key: str) -> str:
        """Return the ETag of a relative key; "" if the listing has none."""
        found = self.etags.get(key)
        return found if isinstance(found, str) else ""

    def problem(self, now: float, max_age: float) -> str:
        """Return why it confirms nothing at the moment `now`; "" if it confirms.

        >>> Listing(5, {}).problem(15, 30), Listing(5, {}).problem(50, 30)
        ('', 'too old')
        """
        if self.at > now:
            return FROM_THE_FUTURE
        return "" if now - self.at < max_age else TOO_OLD


class Seen:
    """What came of asking for a listing."""

    __slots__ = ("at", "listing", "reason")

    def __init__(self, listing: Listing | None, at: float, reason: str) -> None:
        #: The listing, or the one that was read before; when; and why it confirms nothing.
        self.listing, self.at, self.reason = listing, at, reason

    @property
    def made_at(self) -> float | None:
        """When the LIST of the listing began."""
        return None if self.listing is None else self.listing.at

    @property
    def age(self) -> float | None:
        """How old the listing was, in seconds."""
        return None if self.listing is None else self.at - self.listing.at


def parse(data: bytes, prefix: str) -> Listing | None:
    """Return the listing in `data` for a prefix; None if it is none, whatever else it is.

    >>> parse(b'{"tmpcache-listing": 1, "at": 5, "etags": {"a": "b"}}', "micr/").etag("a")
    'b'
    >>> parse(b'{"tmpcache-listing": 1, "at": 5', "micr/") is None
    True
    """
    import json

    try:
        found = json.loads(data)
        at = moment(found["at"])
        is_ours = found["tmpcache-listing"] == _FORMAT and found.get("prefix", prefix) == prefix
        etags = found["etags"]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return Listing(at, etags) if is_ours and isinstance(etags, dict) else None


def moment(value: object) -> float:
    """Return seconds since the epoch, or raise ``ValueError``."""
    if type(value) not in (int, float):
        raise ValueError(f"{value!r} is no time")
    return float(value)  # type: ignore[arg-type]


def text_of(at: float, prefix: str, etags: Mapping[str, str]) -> bytes:
    """Return the document for ETags by relative key, in one line."""
    import json

    document = {"tmpcache-listing": _FORMAT, "at": at, "prefix": prefix, "etags": etags}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
