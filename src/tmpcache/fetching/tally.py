"""What a cache counts: outcomes of fetches, requests and bytes."""

from __future__ import annotations

from threading import Lock

from ..cached_file import Outcome
from ..common.forking import reset_in_children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..reports import SeenListing, Stats
    from ..store.database.database import Database


class Tally:
    """Counters, changed and read under their `lock`."""

    def __init__(self) -> None:
        #: Of hits, which :meth:`.Fetcher.fetch` counts itself; and of the other outcomes.
        self.hits = 0
        self.outcomes = dict.fromkeys(Outcome, 0)
        #: Requests to the origin, and bytes received of bodies.
        self.requests = self.bytes_received = 0
        #: Bytes of the copies that were served and not downloaded.
        self.bytes_saved = 0
        self.forked()
        reset_in_children(self)

    def forked(self) -> None:
        """Make the lock anew in a child: the thread that held it may be in the parent."""
        self.lock = Lock()

    def add(self, *, requests: int = 0, bytes_received: int = 0) -> None:
        """Count requests and bytes."""
        with self.lock:
            self.requests += requests
            self.bytes_received += bytes_received

    def add_outcome(self, outcome: Outcome, size: int) -> None:
        """Count the answer to a fetch of an object of `size` bytes."""
        with self.lock:
            self.outcomes[outcome] += 1
            if outcome is not Outcome.FETCHED:
                self.bytes_saved += size

    def add_all(self, other: Tally) -> None:
        """Add what another tally has counted."""
        with self.lock:
            self.hits += other.hits
            self.requests += other.requests
            self.bytes_received += other.bytes_received
            self.bytes_saved += other.bytes_saved
            for outcome, count in other.outcomes.items():
                self.outcomes[outcome] += count

    def counters(self) -> tuple[int, ...]:
        """Return the counters for the statistics of the root (:mod:`..store.statistics`).

        Without the lock: the caller may have interrupted the thread that holds it.
        """
        hits, found = self.hits + self.outcomes[Outcome.HIT], self.outcomes
        others = (found[name] for name in (Outcome.REVALIDATED, Outcome.STALE, Outcome.FETCHED))
        return hits, *others, self.requests, self.bytes_received, self.bytes_saved

    def stats(self, database: Database, listings: Mapping[str, SeenListing | None]) -> Stats:
        """Return the counters as they are at one moment, with those of the store."""
        from ..reports import Stats

        with self.lock:
            return Stats(
                hits=self.hits + self.outcomes[Outcome.HIT],
                revalidated=self.outcomes[Outcome.REVALIDATED],
                asked=self.requests,
                fetched=self.outcomes[Outcome.FETCHED],
                stale=self.outcomes[Outcome.STALE],
                bytes_fetched=self.bytes_received,
                evicted=database.quota.evicted,
                evicted_bytes=database.quota.evicted_bytes,
                damaged=dict(database.damaged),
                listings=listings,
            )
