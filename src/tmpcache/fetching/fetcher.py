"""How one fetch is answered: fresh? ask? download? stale? It alone joins store and origin."""

from __future__ import annotations

import time
from functools import partial as partial_call
from threading import Lock

from ..cached_file import CachedFile, Outcome, cached_file
from ..common.forking import reset_in_children
from ..common.interruption import reraise_interrupt
from ..common.objects import ObjectName
from ..config import seconds, split_url
from ..errors import (
    AccessDeniedError,
    DeadlineExceededError,
    ObjectNotFoundError,
    OriginUnavailableError,
    QuotaExceededError,
    UnsafeRootError,
)
from ..invocations.context import NEVER, current, current_deadline, current_start
from ..origin import UNSAID, Reply, Unchanged, scope_of
from ..store.store import is_safe
from .freshness import is_always_stale, is_fresh, may_serve_stale
from .single_flight import SingleFlight

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from ..common.deadline import Deadline
    from ..common.objects import Copy
    from ..config import Settings
    from ..origin import Origin
    from ..reports import Stats
    from ..store import Store
    from ..store.downloads.partial_file import Partial
    from ..store.downloads.publish import Arrival
    from ..store.leases.sessions import Lease

    #: A copy, how it was come by, and its lease.
    Answer = tuple[Copy, Outcome, Lease]
    T = TypeVar("T")

#: Copies remembered in memory, some 600 bytes each: beyond these a hit asks the index (12 µs).
_REMEMBERED = 50_000
#: How often a download is begun anew because somebody cleaned its file away.
_LOST = 2
#: Seconds for which a bucket is not asked again that let us wait for so many seconds in vain, as
#: long as a copy may stand in: else many threads and objects would wait one after the other.
_UNRESPONSIVE_FOR, _LONG_WAIT = 5.0, 1.0


class Fetcher:
    """Fetches of one cache, and what is remembered and counted of them."""

    def __init__(
        self, store: Store, origin: Origin, clock: Callable[[], float], settings: Settings
    ) -> None:
        self.store, self.origin = store, origin
        #: Copies that were confirmed, each to its scope.
        self.known: dict[tuple[str, str, str | None], Copy] = {}
        self.outcomes = dict.fromkeys(Outcome, 0)
        #: Bytes of bodies that arrived, and questions asked.
        self.received = self.asked = 0
        self.clock, self.lock_timeout = clock, settings.lock_timeout
        self._max_age, self._stale_if_error = settings.max_age, settings.stale_if_error
        #: Buckets that did not answer, and until when they are not asked (`time.monotonic`).
        self._unresponsive: dict[tuple[str, str], float] = {}
        #: Has `load` give up values whose files have so many bytes; False if there are none.
        self.unload: Callable[[int], bool] = lambda needed: False
        self.forked()
        reset_in_children(self)

    def forked(self) -> None:
        """In a child: the threads that counted and asked are in the parent."""
        self.tally, self._single_flight = Lock(), SingleFlight()

    def stats(self) -> Stats:
        """The counters of the cache, as they are at one moment."""
        from ..reports import Stats

        database = self.store.database
        with self.tally:
            return Stats(
                hits=self.outcomes[Outcome.HIT],
                revalidated=self.outcomes[Outcome.REVALIDATED],
                asked=self.asked,
                fetched=self.outcomes[Outcome.FETCHED],
                stale=self.outcomes[Outcome.STALE],
                bytes_fetched=self.received,
                evicted=database.quota.evicted,
                evicted_bytes=database.quota.evicted_bytes,
                damaged=dict(database.damaged),
            )

    def retry_unloading(self, call: Callable[[], T]) -> T:
        """What `call` returns; where it finds no room, `load` gives up what it keeps for that."""
        while True:
            try:
                return call()
            except QuotaExceededError as error:
                # What no quota of this size can hold is not worth a value.
                if error.needed > error.quota or not self.unload(error.needed):
                    raise

    def fetch(
        self,
        bucket: str,
        key: str | None,
        version_id: str | None,
        max_age: float | None,
        stale_if_error: float | None,
    ) -> CachedFile:
        """See :meth:`tmpcache.Cache.fetch`; None of the limits stands for the cache's."""
        file = self._from_memory(bucket, key, version_id, max_age)
        if file is not None:
            return file
        if key is None:
            return self.fetch(*split_url(bucket), version_id, max_age, stale_if_error)
        max_age, stale_if_error = self.freshness_limits(max_age, stale_if_error)
        deadline = current_deadline()
        if deadline is not None:
            deadline.check(f"s3://{bucket}/{key}")
        name = ObjectName(self.origin.name, bucket, key, version_id)
        copy, answer = self._serve_fresh(name, max_age)
        if answer is not None:
            return self.respond(name, *answer)
        return self.fetch_from_origin(name, copy, max_age, stale_if_error, deadline)

    def _from_memory(
        self, bucket: str, key: str | None, version_id: str | None, max_age: float | None
    ) -> CachedFile | None:
        """Serve the copy that this process remembers, if it is fresh and intact."""
        try:
            copy = self.known.get((bucket, key, version_id))  # type: ignore[arg-type]
            if copy is None:
                return None
            now, limit = self.clock(), self._max_age if max_age is None else max_age
            run = current()
            start = NEVER if run is None else run.started
            fresh = is_fresh(copy.validated_at, now, limit, start, version_id)
        except TypeError as error:  # arguments of other types are refused later
            reraise_interrupt(error)
            return None
        if not fresh or copy.scope != self.origin.scope:
            return None
        lease = self.store.lease(copy.lease_id)
        if not is_safe(copy, lease):
            lease.release()
            return None
        self.store.touch(copy, now)
        with self.tally:
            self.outcomes[Outcome.HIT] += 1
        file = cached_file(copy, Outcome.HIT, lease)
        if run is not None:
            run.note_file(file)
        return file

    def freshness_limits(
        self, max_age: float | None, stale_if_error: float | None
    ) -> tuple[float, float]:
        """Return both in seconds, the cache's where None is given, or raise `ConfigError`."""
        age = self._max_age if max_age is None else max_age
        grace = self._stale_if_error if stale_if_error is None else stale_if_error
        return seconds("max_age", age), seconds("stale_if_error", grace)

    def fetch_from_origin(
        self,
        name: ObjectName,
        copy: Copy | None,
        max_age: float,
        stale_if_error: float,
        deadline: Deadline | None,
    ) -> CachedFile:
        """A fetch that has to ask; `copy` is what is known to be here, None for nothing."""
        answer: Answer | None = None
        while answer is None:
            spare = self._may_serve_stale(copy, max_age, stale_if_error)
            limit = deadline.briefer() if spare and deadline is not None else deadline
            how = self._revalidate_unless_unresponsive if spare else self._revalidate_or_download
            ask = partial_call(self.retry_unloading, partial_call(how, name, copy, limit))
            try:
                shared, led = self._single_flight.share((*name.identity(), spare), ask, limit)
            except (OriginUnavailableError, DeadlineExceededError) as error:
                if isinstance(error, DeadlineExceededError) and (
                    not spare or (deadline is not None and deadline.is_cancelled)
                ):
                    raise
                said = error.scope if isinstance(error, OriginUnavailableError) else UNSAID
                scope = scope_of(self.origin, said)
                answer = self._serve_stale(name, scope, max_age, stale_if_error)
                if answer is None:
                    raise
            else:
                answer = shared if led else self._shared(shared)
                copy = None
            finally:
                if deadline is not None and limit is not None:
                    deadline.forget(limit)
        return self.respond(name, *answer)

    def _may_serve_stale(self, copy: Copy | None, max_age: float, stale_if_error: float) -> bool:
        """Return whether there is a copy for the case that the origin cannot be asked."""
        return copy is not None and may_serve_stale(
            copy.validated_at, self.clock(), max_age, stale_if_error
        )

    def _revalidate_unless_unresponsive(
        self, name: ObjectName, copy: Copy | None, deadline: Deadline | None
    ) -> Answer:
        """Ask, unless the bucket did not answer a moment ago."""
        if time.monotonic() < self._unresponsive.get((name.origin, name.bucket), 0.0):
            raise OriginUnavailableError(
                f"{name}: S3 did not answer for this bucket a moment ago, and was not asked again",
                bucket=name.bucket,
                key=name.key,
            )
        return self._revalidate_or_download(name, copy, deadline)

    def _serve_fresh(self, name: ObjectName, max_age: float) -> tuple[Copy | None, Answer | None]:
        """The copy there is, and the answer if it may be used as it is."""
        known = self.known.get((name.bucket, name.key, name.version or None))
        start = current_start()
        if known is not None and is_always_stale(max_age, start, name.version):
            # It will be asked about anyway; whether another process has a newer one, S3 will say.
            return known, None
        copy = self.store.look_up(name, self.origin.scope)
        if copy is None or not is_fresh(
            copy.validated_at, self.clock(), max_age, start, name.version
        ):
            return copy, None
        lease = self.store.lease_copy(copy)
        return (None, None) if lease is None else (copy, (copy, Outcome.HIT, lease))

    def _serve_stale(
        self, name: ObjectName, scope: str | None, max_age: float, stale_if_error: float
    ) -> Answer | None:
        """The copy that may stand in for an origin that `scope` could not ask."""
        copy = self.store.look_up(name, scope)
        if copy is None or not self._may_serve_stale(copy, max_age, stale_if_error):
            return None
        lease = self.store.lease_copy(copy)
        return (copy, Outcome.STALE, lease) if lease is not None else None

    def _shared(self, answer: Answer) -> Answer | None:
        """Another thread's answer for this one, if the caller is the same; with its own lease."""
        if answer[0].scope is None or answer[0].scope != self.origin.scope:
            return None
        lease = self.store.lease_copy(answer[0])
        return (answer[0], Outcome.HIT, lease) if lease is not None else None

    def respond(
        self,
        name: ObjectName,
        copy: Copy,
        outcome: Outcome,
        lease: Lease,
        *,
        counted: bool = True,
    ) -> CachedFile:
        """The path for an answer, remembered and, if it is one to a fetch, counted."""
        file = cached_file(copy, outcome, lease)
        if outcome is not Outcome.FETCHED:  # that is in the index already
            self.store.touch(copy, self.clock())
        with self.tally:
            self.outcomes[outcome] += counted
        if copy.scope is not None and copy.validated_at is not None:
            if len(self.known) >= _REMEMBERED:
                self.known.clear()
            self.known[name.bucket, name.key, name.version or None] = copy
        if (run := current()) is not None:
            run.note_file(file)
        return file

    def _revalidate_or_download(
        self, name: ObjectName, copy: Copy | None, deadline: Deadline | None
    ) -> Answer:
        """One conditional GET, and the download if it brings another version.

        `copy` is what is known to be here, None for nothing.
        """
        lease = self.store.lease_copy(copy) if copy is not None else None
        if copy is not None and lease is None:  # remembered, or just now damaged: look once more
            copy = self.store.look_up(name, self.origin.scope)
            lease = self.store.lease_copy(copy) if copy is not None else None
        if copy is None or lease is None:
            return self._download(name, None, deadline)
        try:
            reply = self._request(name, deadline, copy.etag)
            if isinstance(reply, Unchanged):
                return self._revalidated(name, copy, reply, lease)
        except BaseException:  # whoever keeps the error shall not keep the lease
            lease.release()
            raise
        lease.release()
        return self._download(name, reply, deadline)

    def _download(self, name: ObjectName, reply: Reply | None, deadline: Deadline | None) -> Answer:
        """Bring the object in, or find that somebody else has just done so."""
        from ..store.downloads.partial_file import PartialLostError

        for tries_left in reversed(range(_LOST)):
            close_response = None if reply is None else reply.body.close
            try:
                with self.store.downloads.partial(
                    name, self.lock_timeout, close_response, deadline
                ) as partial:
                    answer, reply = self._look_up_again(name, reply, partial.waited, deadline)
                    if answer is not None:
                        return answer
                    return self._receive(name, reply, partial, deadline)
            except PartialLostError as error:
                if not tries_left:
                    raise UnsafeRootError(
                        f"{name} cannot be downloaded: {error}, again and again. Keep cleaners out "
                        "of the cache directory, or choose another root."
                    ) from error
                reply = None
        raise AssertionError("the last try returns or raises")

    def _look_up_again(
        self, name: ObjectName, reply: Reply | None, waited: bool, deadline: Deadline | None
    ) -> tuple[Answer | None, Reply | None]:
        """With the partial locked: what others have published, or how the origin's answer begins.

        `reply` is what the origin has told us already; who `waited` has hung up. What is here now
        was published after we began. It may have been by somebody with other credentials, so it is
        ours only if the origin tells us: it has just named this ETag, or has confirmed the copy to
        our scope, or is asked.
        """
        open_reply = None if waited else reply
        copy = self.store.look_up(name, self.origin.scope, after_writers=True)
        is_told = copy is not None and reply is not None and "" != reply.etag == copy.etag
        if copy is None or (open_reply is not None and not is_told):
            return None, open_reply
        lease = self.store.lease_copy(copy)
        if lease is None:
            return None, open_reply
        try:
            if reply is not None and is_told:
                reply.body.close()
                return self._revalidated(name, copy, reply, lease), None
            if reply is None and copy.validated_at is not None:
                return (copy, Outcome.HIT, lease), None
            answer = self._request(name, deadline, copy.etag)
            if isinstance(answer, Unchanged):
                return self._revalidated(name, copy, answer, lease), None
        except BaseException:
            lease.release()
            raise
        lease.release()
        return None, answer

    def _receive(
        self, name: ObjectName, reply: Reply | None, partial: Partial, deadline: Deadline | None
    ) -> Answer:
        arrival = self.transfer(name, reply, partial, deadline)
        copy, lease = self.store.downloads.publish(arrival)
        return copy, Outcome.FETCHED, lease

    def transfer(
        self, name: ObjectName, reply: Reply | None, partial: Partial, deadline: Deadline | None
    ) -> Arrival:
        """Bring the body home; what an earlier download left of the same version is the start."""
        from ..origin.transfer.download import download, is_strong
        from ..store.downloads.publish import Arrival

        at = self.clock() if reply is None else reply.asked_at
        try:
            if reply is not None and partial.etag:
                if reply.etag == partial.etag and is_strong(reply.etag):  # the rest of it will do
                    reply.body.close()
                    reply = None
                else:
                    partial.rewind()
            if reply is None:
                with self.tally:
                    self.asked += 1
            etag, version_id, told = download(self.origin, name, reply, partial, deadline)
            return Arrival(partial, name, etag, version_id, at, scope_of(self.origin, told))
        except (ObjectNotFoundError, AccessDeniedError) as error:
            self._note_refusal(name, error)
            raise
        finally:
            with self.tally:
                self.received += partial.transferred

    def _revalidated(
        self, name: ObjectName, copy: Copy, said: Reply | Unchanged, lease: Lease
    ) -> Answer:
        scope = scope_of(self.origin, said.scope)
        if copy.scope != scope:  # whoever else knows this copy was not told
            copy = copy.for_scope(scope)
        copy = self.store.confirm(name, copy, said.asked_at)
        if copy.validated_at is None:
            self.known.pop((name.bucket, name.key, name.version or None), None)
        return copy, Outcome.REVALIDATED, lease

    def _request(
        self, name: ObjectName, deadline: Deadline | None, etag: str = ""
    ) -> Reply | Unchanged:
        """Ask; what a refusal says about the copies here is written down."""
        with self.tally:
            self.asked += 1
        at = self.clock()
        began, place = time.monotonic(), (name.origin, name.bucket)
        try:
            answer = self.origin.get(
                name.bucket,
                name.key,
                name.version or None,
                if_none_match=etag,
                deadline=deadline,
            )
            self._unresponsive.pop(place, None)
        except (OriginUnavailableError, DeadlineExceededError):
            if time.monotonic() - began >= _LONG_WAIT and not (deadline and deadline.is_cancelled):
                self._unresponsive[place] = time.monotonic() + _UNRESPONSIVE_FOR
            raise
        except (ObjectNotFoundError, AccessDeniedError) as error:
            self._note_refusal(name, error)
            raise
        if etag and isinstance(answer, Reply) and not answer.etag:
            answer.body.close()
            raise OriginUnavailableError(
                f"{name}: the answer has no ETag, but the copy here has: something else than the "
                "store may have answered, such as the login page of a network. Check network and "
                "proxy; stale_if_error= serves the copy meanwhile. If the store has stopped "
                "sending ETags, evict the copy.",
                bucket=name.bucket,
                key=name.key,
            )
        answer = Unchanged() if answer is None else answer
        answer.asked_at = at
        return answer

    def _note_refusal(
        self, name: ObjectName, error: ObjectNotFoundError | AccessDeniedError
    ) -> None:
        self.known.pop((name.bucket, name.key, name.version or None), None)
        if isinstance(error, ObjectNotFoundError):
            self.store.forget(name)
        else:
            self.store.revoke(name, scope_of(self.origin, error.scope))
