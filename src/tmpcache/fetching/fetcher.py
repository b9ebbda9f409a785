"""How one fetch is answered: from memory, from the index, by the origin, or by a stale copy.

A :class:`Fetcher` joins store and origin; nothing below it knows both. Its steps:

1. Serve the copy that this process remembers, if it is fresh (:mod:`.freshness`) and its file is
   as it was published.
2. Serve the copy that the index has, if it is fresh, or a listing says so (:mod:`.listings`).
3. Revalidate or download it (:mod:`.downloader`), once for all threads (:mod:`.single_flight`).
4. Where the origin cannot be asked, serve a stale copy as far as ``stale_if_error`` allows.

# Leases

Each step leases the blob before it looks at the file, and the lease goes along with the copy into
the path that is returned. Code that catches an error and raises it again releases its lease first:
the traceback would keep it, with the frames it came through.
"""

from __future__ import annotations

from math import inf

from ..cached_file import CachedFile, Outcome, cached_file
from ..common.forking import reset_in_children
from ..common.handler_exceptions import reraise_from_handler
from ..common.objects import ObjectName
from ..config import seconds, split_url
from ..errors import DeadlineExceededError, OriginUnavailableError, QuotaExceededError
from ..invocations.context import NEVER, current, current_deadline, current_start
from ..origin import UNSAID, scope_of
from ..store.store import is_safe
from .freshness import is_always_stale, is_fresh, may_serve_stale
from .remembered_copies import RememberedCopies
from .single_flight import SingleFlight
from .tally import Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    from ..common.deadline import Deadline
    from ..common.objects import Copy
    from ..config import Settings
    from ..origin import Origin
    from ..store import Store
    from ..store.leases.lease import Lease
    from .downloader import Downloader, Served

    P = ParamSpec("P")
    T = TypeVar("T")


class Fetcher:
    """Answers the fetches of one cache."""

    def __init__(
        self, store: Store, origin: Origin, clock: Callable[[], float], settings: Settings
    ) -> None:
        self.store, self.origin, self.clock = store, origin, clock
        self._max_age, self._stale_if_error = settings.max_age, settings.stale_if_error
        self.lock_timeout, self.is_offline = settings.lock_timeout, settings.offline
        self.remembered, self.tally = RememberedCopies(), Tally()
        self._downloader: Downloader | None = None
        #: Give up loaded values until their files have so many bytes; False if there are none.
        self.unload: Callable[[int], bool] = lambda needed: False
        #: Return a copy as confirmed by a listing. For a `max_age` of None, none is fetched.
        self.listed: Callable[[Copy | None, float | None], Copy | None] = lambda copy, max_age: copy
        self.forked()
        reset_in_children(self)

    def forked(self) -> None:
        """Forget calls under way, in a child: the threads that make them are in the parent."""
        self._single_flight = SingleFlight()

    @property
    def downloader(self) -> Downloader:
        """What asks the origin. No hit needs it, so a new process's first one does not wait."""
        if self._downloader is None:
            from .downloader import Downloader
            from .origin_requests import OriginRequests

            requests = OriginRequests(
                self.origin, self.store, self.remembered, self.tally, self.clock
            )
            self._downloader = Downloader(requests, self.store, self.lock_timeout)
        return self._downloader

    def with_origin(self, origin: Origin) -> Fetcher:
        """Return a copy of this object that asks the same origin through `origin`, and tallies."""
        from copy import copy as shallow_copy

        other = shallow_copy(self)
        other.origin, other.tally = origin, Tally()
        other._downloader = self.downloader.with_origin(origin, other.tally)
        return other

    def fetch(
        self,
        bucket: str,
        key: str | None,
        version_id: str | None,
        max_age: float | None,
        stale_if_error: float | None,
    ) -> CachedFile:
        """See :meth:`tmpcache.Cache.fetch`. The hit from memory is here, as it must be quick."""
        is_hit = False
        try:
            copy = self.remembered.get((bucket, key, version_id))  # type: ignore[arg-type]
            if copy is not None:
                now, limit = self.clock(), self._max_age if max_age is None else max_age
                run = current()
                start = NEVER if run is None else run.started
                is_hit = is_fresh(copy.validated_at, now, limit, start, version_id)
        except TypeError as error:  # arguments of other types are refused below
            reraise_from_handler(error)
            copy = None
        if copy is not None and is_hit and copy.scope == self.origin.scope:
            lease = self.store.lease(copy.lease_id)
            if is_safe(copy, lease):
                self.store.touch(copy, now)
                tally = self.tally
                with tally.lock:
                    tally.hits += 1
                    tally.bytes_saved += copy.size
                file = cached_file(copy, Outcome.HIT, lease)
                if run is not None:
                    run.note_file(file)
                return file
            lease.release()
        return self._fetch_not_remembered(bucket, key, version_id, max_age, stale_if_error)

    def _fetch_not_remembered(
        self,
        bucket: str,
        key: str | None,
        version_id: str | None,
        max_age: float | None,
        stale_if_error: float | None,
    ) -> CachedFile:
        """Answer a fetch from the index or by the origin."""
        if key is None:
            return self.fetch(*split_url(bucket), version_id, max_age, stale_if_error)
        max_age, stale_if_error = self.freshness_limits(max_age, stale_if_error)
        deadline = current_deadline()
        if deadline is not None:
            deadline.check(f"s3://{bucket}/{key}")
        name = ObjectName(self.origin.name, bucket, key, version_id)
        copy, served = self._serve_from_index(name, max_age)
        if served is not None:
            return self.respond(name, *served)
        return self.fetch_from_origin(name, copy, max_age, stale_if_error, deadline)

    def _serve_from_index(
        self, name: ObjectName, max_age: float
    ) -> tuple[Copy | None, Served | None]:
        """Return what is known of the object, and the copy to serve if that is fresh."""
        remembered = self.remembered.get((name.bucket, name.key, name.version or None))
        start = current_start()
        if remembered is not None and is_always_stale(max_age, start, name.version):
            # The origin is asked in any case. If another process has a newer copy, the reply says.
            return remembered, None
        copy = self.listed(self.store.look_up(name, self.origin.scope), max_age)
        now = self.clock()
        if copy is None or not is_fresh(copy.validated_at, now, max_age, start, name.version):
            return copy, None
        lease = self.store.lease_copy(copy)
        return (None, None) if lease is None else (copy, (copy, Outcome.HIT, lease))

    def fetch_from_origin(
        self,
        name: ObjectName,
        copy: Copy | None,
        max_age: float,
        stale_if_error: float,
        deadline: Deadline | None,
    ) -> CachedFile:
        """Answer a fetch that no fresh copy answers.

        `copy` is what the caller knows of the object, None for nothing. If another thread makes the
        same request just then, this one waits for its result. It asks once more if that may not be
        used: the other thread has another scope, or the copy is gone.
        """
        from .telling import Telling

        with Telling() as tell:
            served = self._share_request(name, copy, max_age, stale_if_error, deadline)
            while served is None:  # then it takes nothing for known, and looks in the index again
                served = self._share_request(name, None, max_age, stale_if_error, deadline)
            return tell(self.respond(name, *served))

    def _share_request(
        self,
        name: ObjectName,
        copy: Copy | None,
        max_age: float,
        stale_if_error: float,
        deadline: Deadline | None,
    ) -> Served | None:
        """Ask the origin, or wait for the thread that does; None if its copy is not for us.

        If the origin cannot be asked, return a stale copy, or raise if none may be served.
        """
        # A stale copy is still to be served in time, so the origin gets a little less of it.
        has_stale = self._may_serve_stale(copy, max_age, stale_if_error)
        limit = deadline.briefer() if has_stale and deadline is not None else deadline
        try:
            served, is_leader = self._single_flight.share(
                (*name.identity(), has_stale),
                limit,
                self._revalidate_or_download_unloading,
                name,
                copy,
                limit,
                has_stale,
            )
        except (DeadlineExceededError, OriginUnavailableError) as error:
            is_late = isinstance(error, DeadlineExceededError)
            if is_late and (not has_stale or (deadline is not None and deadline.is_cancelled)):
                raise
            scope = scope_of(self.origin, getattr(error, "scope", UNSAID))
            stale = self._serve_stale(name, scope, max_age, stale_if_error)
            if stale is None:
                raise
            from .telling import note_stale

            note_stale(stale[0], self.clock(), error, is_expected=self.is_offline)
            return stale
        else:
            return served if is_leader else self._lease_shared(served)
        finally:
            if deadline is not None and limit is not None:
                deadline.forget(limit)

    def _revalidate_or_download_unloading(
        self, name: ObjectName, copy: Copy | None, deadline: Deadline | None, has_stale: bool
    ) -> Served:
        """Revalidate or download an object; where there is no room, have `load` give up values.

        With `has_stale`, do not ask a bucket that was silent a moment ago.
        """
        if has_stale:
            self.downloader.requests.check_responsive(name)
        return self.retry_unloading(self.downloader.revalidate_or_download, name, copy, deadline)

    def _lease_shared(self, served: Served) -> Served | None:
        """Lease the copy that another thread was answered with, if both ask as the same scope."""
        copy = served[0]
        if copy.scope is None or copy.scope != self.origin.scope:
            return None
        lease = self.store.lease_copy(copy)
        return (copy, Outcome.HIT, lease) if lease is not None else None

    def _may_serve_stale(self, copy: Copy | None, max_age: float, stale_if_error: float) -> bool:
        """Return whether a copy may be served if the origin cannot be asked."""
        return copy is not None and may_serve_stale(
            copy.validated_at, self.clock(), max_age, stale_if_error
        )

    def _serve_stale(
        self, name: ObjectName, scope: str | None, max_age: float, stale_if_error: float
    ) -> Served | None:
        """Lease the copy to serve for an origin that could not be asked with these credentials."""
        copy = self.listed(self.store.look_up(name, scope), None)
        if copy is None or not self._may_serve_stale(copy, max_age, stale_if_error):
            return None
        lease = self.store.lease_copy(copy)
        return (copy, Outcome.STALE, lease) if lease is not None else None

    def respond(
        self, name: ObjectName, copy: Copy, outcome: Outcome, lease: Lease, *, counted: bool = True
    ) -> CachedFile:
        """Return the path of a leased copy; remember the copy, note its use, count the outcome."""
        file = cached_file(copy, outcome, lease)
        if outcome is not Outcome.FETCHED:  # publishing has noted the use
            self.store.touch(copy, self.clock())
        if counted:
            self.tally.add_outcome(outcome, copy.size)
        self.remembered.remember(name, copy)
        if (run := current()) is not None:
            run.note_file(file)
        return file

    def freshness_limits(
        self, max_age: float | None, stale_if_error: float | None
    ) -> tuple[float, float]:
        """Return both in seconds, the cache's where None is given, or raise `ConfigError`."""
        age = self._max_age if max_age is None else max_age
        grace = self._stale_if_error if stale_if_error is None else stale_if_error
        grace = seconds("stale_if_error", grace)
        return seconds("max_age", age), inf if self.is_offline else grace

    def retry_unloading(self, call: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Return what `call` returns; where it finds no room, have `load` give up values for it."""
        while True:
            try:
                return call(*args, **options)
            except QuotaExceededError as error:
                # What no quota of this size can hold is not worth a value.
                if error.needed > error.quota or not self.unload(error.needed):
                    raise
