"""How one fetch is answered: fresh? ask? download? stale? It alone joins store and origin."""

from __future__ import annotations

import time
from functools import partial as partial_call
from threading import Lock

from .current import current, current_deadline, current_start
from .errors import (
    AccessDeniedError,
    DeadlineExceededError,
    ObjectNotFoundError,
    OriginUnavailableError,
)
from .file import CachedFile, Outcome, cached_file
from .flights import Flights
from .forking import reset_in_children
from .freshness import is_fresh, may_serve_stale
from .objects import ObjectName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .deadline import Deadline
    from .objects import Copy
    from .origin import Origin, Reply
    from .store import Store
    from .store.partials import Partial
    from .store.publish import Arrival
    from .store.sessions import Session

    #: A copy, how it was come by, and its lease.
    Answer = tuple[Copy, Outcome, Session, int]

#: Copies remembered in memory, some 600 bytes each: beyond these a hit asks the index (12 µs).
_REMEMBERED = 50_000
#: How often a download is begun anew because somebody cleaned its file away.
_LOST = 2
_NEVER = float("inf")
#: Seconds for which a bucket is not asked again that let us wait for so many seconds in vain, as
#: long as a copy may stand in: else many threads and objects would wait one after the other.
_SILENCE, _LONG_WAIT = 5.0, 1.0


class Fetching:
    """Fetches of one cache, and what is remembered and counted of them."""

    def __init__(
        self, store: Store, origin: Origin, clock: Callable[[], float], patience: float
    ) -> None:
        self.store, self.origin = store, origin
        #: Copies that were confirmed, with the scope they were confirmed to.
        self.known: dict[tuple[str, str, str | None], tuple[Copy, str]] = {}
        self.outcomes = dict.fromkeys(Outcome, 0)
        #: Bytes of bodies that arrived, and questions asked.
        self.received = self.asked = 0
        self.clock, self.patience = clock, patience
        #: Buckets that did not answer, and until when they are not asked (`time.monotonic`).
        self._silent: dict[tuple[str, str], float] = {}
        self.forked()
        reset_in_children(self)

    def forked(self) -> None:
        """In a child: the threads that counted and asked are in the parent."""
        self.tally, self._flights = Lock(), Flights()

    def fetch(
        self, bucket: str, key: str, version_id: str | None, max_age: float, stale_if_error: float
    ) -> CachedFile:
        """A fetch that memory alone did not answer."""
        deadline = current_deadline()
        if deadline is not None:
            deadline.check(f"s3://{bucket}/{key}")
        name = ObjectName(self.origin.name, bucket, key, version_id)
        copy, answer = self._without_asking(name, max_age)
        if answer is not None:
            return self.hand_out(name, *answer)
        return self.fetch_from_origin(name, copy, max_age, stale_if_error, deadline)

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
            spare = self._may_stand_in(copy, max_age, stale_if_error)
            limit = deadline.briefer() if spare and deadline is not None else deadline
            ask = partial_call(self._ask_unless_silent if spare else self._ask, name, copy, limit)
            try:
                shared, led = self._flights.share((*name.parts(), spare), ask, limit)
            except (OriginUnavailableError, DeadlineExceededError) as error:
                if isinstance(error, DeadlineExceededError) and (
                    not spare or (deadline is not None and deadline.is_cancelled)
                ):
                    raise
                answer = self._instead_of_asking(name, max_age, stale_if_error)
                if answer is None:
                    raise
            else:
                answer = shared if led else self._shared(shared)
                copy = None
            finally:
                if deadline is not None and limit is not None:
                    deadline.forget(limit)
        return self.hand_out(name, *answer)

    def _may_stand_in(self, copy: Copy | None, max_age: float, stale_if_error: float) -> bool:
        """Whether there is a copy for the case that the origin cannot be asked."""
        if copy is None or copy.validated_at is None:
            return False
        return may_serve_stale(self.clock() - copy.validated_at, max_age, stale_if_error)

    def _ask_unless_silent(
        self, name: ObjectName, copy: Copy | None, deadline: Deadline | None
    ) -> Answer:
        """Ask, unless the bucket did not answer a moment ago."""
        if time.monotonic() < self._silent.get((name.origin, name.bucket), 0.0):
            raise OriginUnavailableError(
                f"{name}: S3 did not answer for this bucket a moment ago, and was not asked again",
                bucket=name.bucket,
                key=name.key,
            )
        return self._ask(name, copy, deadline)

    def _without_asking(
        self, name: ObjectName, max_age: float
    ) -> tuple[Copy | None, Answer | None]:
        """The copy there is, and the answer if it may be used as it is."""
        known = self.known.get((name.bucket, name.key, name.version or None))
        since = current_start()
        if max_age == 0 and since == _NEVER and not name.version and known is not None:
            # It will be asked about anyway; whether another process has a newer one, S3 will say.
            return known[0], None
        copy = self.store.look_up(name, self.origin.scope)
        if copy is None or not self.may_serve(copy, max_age, immutable=bool(name.version)):
            return copy, None
        lease = self.store.claim(copy)
        return (None, None) if lease is None else (copy, (copy, Outcome.HIT, *lease))

    def may_serve(self, copy: Copy, max_age: float, *, immutable: bool = False) -> bool:
        """Whether a copy is fresh: by its age, or confirmed in the invocation under way."""
        if copy.validated_at is None:
            return False
        now = self.clock()
        age = now - copy.validated_at
        return is_fresh(age, max_age, immutable=immutable) or 0 <= age <= now - current_start()

    def _instead_of_asking(
        self, name: ObjectName, max_age: float, stale_if_error: float
    ) -> Answer | None:
        """The copy that may stand in for an origin that cannot be asked."""
        copy = self.store.look_up(name, self.origin.scope)
        if copy is None or not self._may_stand_in(copy, max_age, stale_if_error):
            return None
        lease = self.store.claim(copy)
        return (copy, Outcome.STALE, *lease) if lease is not None else None

    def _shared(self, answer: Answer) -> Answer | None:
        """Another thread's answer for this one: the same copy, a lease of its own."""
        lease = self.store.claim(answer[0])
        return (answer[0], Outcome.HIT, *lease) if lease is not None else None

    def hand_out(
        self,
        name: ObjectName,
        copy: Copy,
        outcome: Outcome,
        session: Session,
        slot: int,
        *,
        counted: bool = True,
    ) -> CachedFile:
        """The path for an answer, remembered and, if it is one to a fetch, counted."""
        file, scope = cached_file(copy, outcome, session, slot), self.origin.scope
        if outcome is not Outcome.FETCHED:  # that is in the index already
            self.store.touch(copy, self.clock())
        with self.tally:
            self.outcomes[outcome] += counted
        if scope is not None and copy.validated_at is not None:
            if len(self.known) >= _REMEMBERED:
                self.known.clear()
            self.known[name.bucket, name.key, name.version or None] = copy, scope
        if (run := current()) is not None:
            run.note_file(file, slot)
        return file

    def _ask(self, name: ObjectName, copy: Copy | None, deadline: Deadline | None) -> Answer:
        """One conditional GET, and the download if it brings another version.

        `copy` is what is known to be here, None for nothing.
        """
        lease = self.store.claim(copy) if copy is not None else None
        if copy is not None and lease is None:  # remembered, or just now damaged: look once more
            copy = self.store.look_up(name, self.origin.scope)
            lease = self.store.claim(copy) if copy is not None else None
        if copy is None or lease is None:
            return self._download(name, None, deadline)
        try:
            reply = self._get(name, deadline, copy.etag)
            if reply is None:
                return self._confirmed(name, copy, lease)
        except BaseException:
            lease[0].give_back(lease[1])
            raise
        lease[0].give_back(lease[1])
        return self._download(name, reply, deadline)

    def _download(self, name: ObjectName, reply: Reply | None, deadline: Deadline | None) -> Answer:
        """Bring the object in, or find that somebody else has just done so."""
        from .store.partials import PartialLostError

        for tries_left in reversed(range(_LOST)):
            hang_up = None if reply is None else reply.body.close
            try:
                with self.store.downloads.partial(
                    name, self.patience, hang_up, deadline
                ) as partial:
                    answer, reply = self._meanwhile(name, reply, partial.waited, deadline)
                    if answer is not None:
                        return answer
                    return self._receive(name, reply, partial, deadline)
            except PartialLostError:
                if not tries_left:
                    raise
                reply = None
        raise AssertionError("the last try returns or raises")

    def _meanwhile(
        self, name: ObjectName, reply: Reply | None, waited: bool, deadline: Deadline | None
    ) -> tuple[Answer | None, Reply | None]:
        """With the partial locked: what others have published, or how the origin's answer begins.

        `reply` is what the origin has told us already; who `waited` has hung up. What is here now
        was published after we began. It may have been by somebody with other credentials, so it is
        ours only if the origin tells us: it has just named this ETag, or has confirmed the copy to
        our scope, or is asked.
        """
        told, open_reply = None if reply is None else reply.etag, None if waited else reply
        copy = self.store.look_up(name, self.origin.scope, settled=True)
        if copy is None or (open_reply is not None and (not told or told != copy.etag)):
            return None, open_reply
        lease = self.store.claim(copy)
        if lease is None:
            return None, open_reply
        try:
            if told and told == copy.etag:
                if open_reply is not None:
                    open_reply.body.close()
                return self._confirmed(name, copy, lease), None
            if told is None and copy.validated_at is not None:
                return (copy, Outcome.HIT, *lease), None
            reply = self._get(name, deadline, copy.etag)
            if reply is None:
                return self._confirmed(name, copy, lease), None
        except BaseException:
            lease[0].give_back(lease[1])
            raise
        lease[0].give_back(lease[1])
        return None, reply

    def _receive(
        self, name: ObjectName, reply: Reply | None, partial: Partial, deadline: Deadline | None
    ) -> Answer:
        arrival = self.bring(name, reply, partial, deadline)
        copy, session, slot = self.store.downloads.publish(arrival, self.origin.scope)
        return copy, Outcome.FETCHED, session, slot

    def bring(
        self, name: ObjectName, reply: Reply | None, partial: Partial, deadline: Deadline | None
    ) -> Arrival:
        """Bring the body home; what an earlier download left of the same version is the start."""
        from .origin.download import download, is_strong
        from .store.publish import Arrival

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
            at = self.clock()
            etag, version_id = download(self.origin, name, reply, partial, deadline)
            return Arrival(partial, name, etag, version_id, at)
        except (ObjectNotFoundError, AccessDeniedError) as error:
            self._refused(name, error)
            raise
        finally:
            with self.tally:
                self.received += partial.transferred

    def _confirmed(self, name: ObjectName, copy: Copy, lease: tuple[Session, int]) -> Answer:
        self.store.confirm(name, copy, self.origin.scope, self.clock())
        if copy.validated_at is None:
            self.known.pop((name.bucket, name.key, name.version or None), None)
        return copy, Outcome.REVALIDATED, *lease

    def _get(self, name: ObjectName, deadline: Deadline | None, etag: str = "") -> Reply | None:
        """Ask; what a refusal says about the copies here is written down."""
        with self.tally:
            self.asked += 1
        began, place = time.monotonic(), (name.origin, name.bucket)
        try:
            reply = self.origin.get(
                name.bucket,
                name.key,
                name.version or None,
                if_none_match=etag,
                deadline=deadline,
            )
            self._silent.pop(place, None)
            return reply
        except (OriginUnavailableError, DeadlineExceededError):
            if time.monotonic() - began >= _LONG_WAIT and not (deadline and deadline.is_cancelled):
                self._silent[place] = time.monotonic() + _SILENCE
            raise
        except (ObjectNotFoundError, AccessDeniedError) as error:
            self._refused(name, error)
            raise

    def _refused(self, name: ObjectName, error: Exception) -> None:
        self.known.pop((name.bucket, name.key, name.version or None), None)
        if isinstance(error, ObjectNotFoundError):
            self.store.forget(name)
        else:
            self.store.revoke(name, self.origin.scope)
