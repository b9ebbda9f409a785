"""Confirms stale copies by listings, so that S3 is not asked about each of them.

A listing confirms a copy as of when its LIST began (`at`), if

* S3 has given the object to these credentials before, and the listing as well;
* the listing names the ETag of the copy;
* `at` is not in the future, and less than ``max_age`` ago;
* S3 itself answered these credentials about the object within ``ask_again_after``.

Whatever else is the case, S3 is asked about the object as if there were no listing.

# What is recorded

Nothing: the confirmation is in the copy that this process remembers. So ``validations`` in the
index still says when S3 itself last answered about an object, which the last of these rules needs.
Another process confirms its copies by the same listing, which is in the store like any object.
"""

from __future__ import annotations

from ...common.forking import reset_in_children
from ...common.objects import ObjectName
from ...config import split_prefix_url
from ...invocations.context import current_deadline, current_start
from ..freshness import has_listed_etag, is_fresh
from ..single_flight import SingleFlight
from .document import LISTING, Seen, is_own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...common.objects import Copy
    from ...config import Settings
    from ...reports import SeenListing
    from ..fetcher import Fetcher
    from .document import Listing

#: Scopes whose listing is remembered: credentials are replaced every few hours.
_SCOPES_KEPT = 8
_NOTHING = Seen(None, float("-inf"), "")


class Listings:
    """The listings that a cache was told of."""

    def __init__(self, fetcher: Fetcher, settings: Settings) -> None:
        self._fetcher, self._ask_again_after = fetcher, settings.ask_again_after
        places = [split_prefix_url(url) for url in settings.listings]
        #: The deepest first: its writer knows best.
        self._listings = [
            _KnownListing(fetcher, *place)
            for place in sorted(places, key=lambda place: -len(place[1]))
        ]

    def confirm(self, copy: Copy | None, max_age: float | None) -> Copy | None:
        """Return a copy, confirmed as of when a listing was made, or as it was given.

        Without `max_age` no listing is fetched: for stale copies of an origin that is silent.
        """
        if copy is None or copy.scope is None or not self._is_in_question(copy, max_age):
            return copy
        bucket, key, _, _ = copy.identity
        confirmed_at = copy.validated_at or 0.0
        latest = confirmed_at + self._ask_again_after - (max_age or 0.0)
        for known in self._listings:
            if known.bucket == bucket and key.startswith(known.prefix):
                listing = known.current(copy.scope, max_age)
                if listing is None or listing.at > self._fetcher.clock():
                    continue
                if has_listed_etag(copy.etag, listing.etag(key[len(known.prefix) :])):
                    confirmed_at = max(confirmed_at, min(listing.at, latest))
        return copy.confirmed(confirmed_at, copy.written_at)

    def seen(self) -> dict[str, SeenListing | None]:
        """Return what became of each listing, by the URL of its prefix, when last asked for."""
        return {f"s3://{one.bucket}/{one.prefix}": one.last_seen() for one in self._listings}

    def _is_in_question(self, copy: Copy, max_age: float | None) -> bool:
        """Return whether a listing may confirm a copy, and need do so."""
        _, key, version, _ = copy.identity
        now, start = self._fetcher.clock(), current_start()
        return (
            copy.validated_at is not None
            and not version
            and max_age != 0
            and 0 <= now - copy.validated_at < self._ask_again_after
            and (max_age is None or not is_fresh(copy.validated_at, now, max_age, start))
            and not is_own(key)
        )


class _KnownListing:
    """The listing of one prefix, as these credentials last read it."""

    def __init__(self, fetcher: Fetcher, bucket: str, prefix: str) -> None:
        self._fetcher, self.bucket, self.prefix = fetcher, bucket, prefix
        #: By scope.
        self._seen: dict[str, Seen] = {}
        self.forked()
        reset_in_children(self)

    def forked(self) -> None:
        """Forget calls under way, in a child: the threads that make them are in the parent."""
        self._single_flight = SingleFlight()

    def current(self, scope: str, max_age: float | None) -> Listing | None:
        """Return the listing; fetch it first if it is `max_age` old, and was not just tried."""
        seen, now = self._seen.get(scope, _NOTHING), self._fetcher.clock()
        listing = seen.listing
        if max_age is None or (listing is not None and 0 <= now - listing.at < max_age):
            return listing
        pause = min(1.0, max_age / 4)
        if 0 <= now - seen.at < pause:
            return listing
        from ...common.subscriptions import deliver
        from ...errors import TmpCacheError

        try:  # once for all threads that want it now
            fetched, _ = self._single_flight.share(
                scope, current_deadline(), self._fetch, scope, pause, max_age
            )
        except TmpCacheError:  # the deadline: the object's own request says so
            return listing
        deliver()
        return fetched

    def _fetch(self, scope: str, pause: float, max_age: float) -> Listing | None:
        """Fetch the listing, unless this machine has asked for it within `pause` seconds."""
        from .reading import Unusable, fetch_listing, note_reading

        name = ObjectName(self._fetcher.origin.name, self.bucket, self.prefix + LISTING)
        before, reason, detail = self._seen.get(scope, _NOTHING), "", ""
        try:
            listing: Listing | None = fetch_listing(self._fetcher, name, scope, pause)
        except Unusable as error:
            listing, reason, detail = before.listing, error.reason, error.detail
        now = self._fetcher.clock()
        if listing is not None and not reason:
            reason = listing.problem(now, max_age)
        if len(self._seen) >= _SCOPES_KEPT and scope not in self._seen:
            self._seen.clear()
        self._seen[scope] = seen = Seen(listing, now, reason)
        note_reading(name, before, seen, detail)
        return listing

    def last_seen(self) -> SeenListing | None:
        """Return what became of it when it was last asked for, with whatever credentials."""
        if not self._seen:
            return None
        from ...reports import SeenListing

        seen = max([*self._seen.values()], key=lambda seen: seen.at)
        return SeenListing(seen.age, not seen.reason, seen.reason)
