"""Whether the listings that a cache is told of can be used, and what to do about those that cannot.

Each is requested anew, and nothing is kept of it.
"""

from __future__ import annotations

import time

from ...common.finding import Finding
from ...common.objects import ObjectName
from ...config import split_prefix_url
from ...errors import TmpCacheError
from ...origin import Reply
from .document import (
    FORBIDDEN,
    FROM_THE_FUTURE,
    GARBAGE,
    LISTING,
    MISSING,
    TOO_LARGE,
    TOO_OLD,
)
from .reading import SmallObjects, Unusable, checked, unusable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...config import Settings
    from ...origin import Body, Origin
    from .document import Listing

_CHUNK = 256 * 1024
_ADVICE = {
    MISSING: "put it, and again every half of max_age: tmpcache put-listing {url}",
    FORBIDDEN: "let these credentials read it: s3:GetObject on {url}" + LISTING,
    GARBAGE: "put it anew: tmpcache put-listing {url}; let only its writer write .tmpcache-*",
    TOO_LARGE: "put one for each prefix below, and name these in TMPCACHE_LISTINGS",
    TOO_OLD: "look after its writer, which is to put it every half of max_age ({max_age:g} s)",
    FROM_THE_FUTURE: "set the clocks of this machine and of its writer (NTP)",
}
_IGNORED = "set TMPCACHE_MAX_AGE: listings confirm nothing where S3 is asked every time"


def findings(origin: Origin, settings: Settings) -> Iterator[Finding]:
    """Look at each listing; its age is compared with the `max_age` of the settings."""
    for url in settings.listings:
        try:
            listing = _requested(origin, url)
        except Unusable as error:
            yield _wrong(url, error.reason, error.detail, settings.max_age)
            continue
        now = time.time()
        found = f"{now - listing.at:.0f} s old, {len(listing.etags):,} objects"
        if not settings.max_age and listing.at <= now:
            yield Finding("listing", None, f"{url}: {found}; max_age is 0", _IGNORED)
        elif problem := listing.problem(now, settings.max_age):
            yield _wrong(url, problem, found, settings.max_age)
        else:
            yield Finding("listing", True, f"{url}: {found}")


def _wrong(url: str, reason: str, detail: str, max_age: float) -> Finding:
    advice = _ADVICE.get(reason, "").format(url=url, max_age=max_age)
    return Finding("listing", False, f"{url}: {reason}" + f" ({detail})" * bool(detail), advice)


def _requested(origin: Origin, url: str) -> Listing:
    """Request the listing of a prefix, or raise `Unusable`."""
    bucket, prefix = split_prefix_url(url)
    name = ObjectName(origin.name, bucket, prefix + LISTING)
    try:
        reply = SmallObjects(origin).get(bucket, name.key)
        assert isinstance(reply, Reply), "no ETag was given"
        try:
            return checked(_received(reply.body), name)
        finally:
            reply.body.close()
    except TmpCacheError as error:
        raise unusable(error) from None


def _received(body: Body) -> bytes:
    """Return all of a body."""
    buffer, data = memoryview(bytearray(_CHUNK)), bytearray()
    while piece := body.read(buffer):
        data += piece
    return bytes(data)
