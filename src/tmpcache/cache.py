"""The hall: how one fetch is answered. It alone knows both the store and the origin."""

from __future__ import annotations

import os
import time
from threading import Lock

from .config import Settings, parse_size, seconds
from .errors import AccessDeniedError, ObjectNotFoundError, OriginUnavailableError
from .file import CachedFile, Outcome, cached_file
from .flights import Flights
from .freshness import is_fresh, may_serve_stale
from .objects import ObjectName
from .store import Store
from .store.store import is_intact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import Any, Self

    from .objects import Copy
    from .origin import Origin, Reply
    from .reports import Entry, Stats, Usage, Verification
    from .store.partials import Partial
    from .store.sessions import Session

    #: A copy, how it was come by, and its lease.
    Answer = tuple[Copy, Outcome, Session, int]

#: Copies remembered in memory, some 600 bytes each: beyond these a hit asks the index (12 µs).
_REMEMBERED = 50_000
#: How often a download is begun anew because somebody cleaned its file away.
_LOST = 2


class Cache:
    """Objects of S3 as local files, in one directory that any number of processes may share.

    Args:
        root: the directory; default ``tmpcache-<uid>`` under ``$TMPDIR`` or ``/tmp``.
        quota: bytes that it may occupy: an int, ``"400 MB"``, ``"1.5 GiB"`` or ``"80%"`` of the
            file system. Default: in Lambda 80 % of it, elsewhere the smaller of 10 GiB and half of
            what is free.
        min_free: bytes to leave free on the file system, whoever fills it; default 0.
        max_age: seconds since the origin last confirmed a copy during which it is served without
            asking; default 0: ask every time.
        stale_if_error: seconds past `max_age` during which an origin that is unreachable,
            throttles or fails is answered for with the copy; default 0.
        client: a boto3 S3 client to use instead of one made from the environment.
        request_options: sent along with every request, such as ``{"ExpectedBucketOwner": "…"}``.
        lock_timeout: seconds without progress after which another process's download is not
            waited for any more; default 10.
        clock: what tells the time in seconds since the epoch; for tests.
        origin: where objects come from instead of S3 (see :class:`tmpcache.origin.Origin`).

    Every setting but the last five also comes from the environment, as ``TMPCACHE_ROOT``,
    ``TMPCACHE_QUOTA`` and so on.

    Raises:
        ConfigError: a setting that cannot be.
        UnsafeRootError: the directory belongs to somebody else, or may be entered by others.

    A cache may be used by many threads, and goes on in forked children.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        quota: int | str | None = None,
        min_free: int | str | None = None,
        max_age: float | None = None,
        stale_if_error: float | None = None,
        client: Any = None,
        *,
        request_options: Mapping[str, str] | None = None,
        lock_timeout: float | None = None,
        clock: Callable[[], float] = time.time,
        origin: Origin | None = None,
    ) -> None:
        settings = Settings(root, quota, min_free, max_age, stale_if_error, lock_timeout)
        self._max_age, self._stale_if_error = settings.max_age, settings.stale_if_error
        self._patience, self._clock = settings.lock_timeout, clock
        self._store = Store(settings.root, settings.quota, settings.min_free, clock)
        if origin is None:
            from .origin.s3 import S3Origin

            origin = S3Origin(client, request_options)
        self._origin = origin
        self._pid, self._flights = os.getpid(), Flights()
        self._known: dict[tuple[str, str, str | None], tuple[Copy, str]] = {}
        self._tally = Lock()
        self._outcomes = dict.fromkeys(Outcome, 0)
        self._received = 0

    # ---- fetching ----------------------------------------------------------------------------

    def fetch(
        self,
        bucket: str,
        key: str,
        *,
        max_age: float | None = None,
        stale_if_error: float | None = None,
        version_id: str | None = None,
    ) -> CachedFile:
        """The local path of a whole, current copy of an object.

        The file is read-only and stays while the returned path object lives. `max_age` and
        `stale_if_error` (seconds) override the cache's. With `version_id` the copy never goes
        stale, as versions do not change.

        Raises:
            ObjectNotFoundError, AccessDeniedError: never answered from the cache.
            OriginUnavailableError: S3 could not be asked, and `stale_if_error` allows no copy.
            QuotaExceededError: no room, whatever is evicted.
            ObjectChangedError: replaced twice while it was read.
            IntegrityError: the bytes do not fit S3's checksum or length.

        >>> path = cache.fetch("models", "micr/e13b.npz", max_age=300)      # doctest: +SKIP
        >>> path.outcome, path.size, path.suffix                            # doctest: +SKIP
        (<Outcome.FETCHED: 'fetched'>, 53248, '.npz')
        """
        known = self._known.get((bucket, key, version_id))
        if known is not None:
            copy, scope = known
            now = self._clock()
            age = now - copy.validated_at  # type: ignore[operator]
            limit = self._max_age if max_age is None else max_age
            if (0 <= age < limit or version_id) and scope == self._origin.scope:
                session, slot = self._store.take(copy.lease_id)
                if is_intact(copy):
                    self._store.touch(copy, now)
                    with self._tally:
                        self._outcomes[Outcome.HIT] += 1
                    return cached_file(copy, Outcome.HIT, session, slot)
                session.give_back(slot)
        return self._fetch_slowly(bucket, key, version_id, max_age, stale_if_error)

    def _fetch_slowly(
        self,
        bucket: str,
        key: str,
        version_id: str | None,
        max_age: float | None,
        stale_if_error: float | None,
    ) -> CachedFile:
        limit = self._max_age if max_age is None else seconds("max_age", max_age)
        grace = self._stale_if_error
        if stale_if_error is not None:
            grace = seconds("stale_if_error", stale_if_error)
        if self._pid != os.getpid():  # the threads that flew are in the parent
            self._pid, self._flights = os.getpid(), Flights()
        name = ObjectName(self._origin.name, bucket, key, version_id)
        answer = self._look(name, lambda age: is_fresh(age, limit, immutable=bool(version_id)))
        while answer is None:
            try:
                shared, led = self._flights.share(name.parts(), lambda: self._ask(name))
            except OriginUnavailableError:
                stale = self._look(name, lambda age: may_serve_stale(age, limit, grace))
                if stale is None:
                    raise
                answer = stale[0], Outcome.STALE, *stale[2:]
            else:
                answer = shared if led else self._shared(shared)
        return self._hand_out(name, *answer)

    def _look(self, name: ObjectName, usable: Callable[[float | None], bool]) -> Answer | None:
        """The copy on disk, leased, if it is whole and its age is `usable`."""
        copy = self._store.look_up(name, self._origin.scope)
        if copy is None:
            return None
        age = None if copy.validated_at is None else self._clock() - copy.validated_at
        if not usable(age) or (lease := self._store.claim(copy)) is None:
            return None
        return copy, Outcome.HIT, *lease

    def _shared(self, answer: Answer) -> Answer | None:
        """Another thread's answer for this one: the same copy, a lease of its own."""
        lease = self._store.claim(answer[0])
        return (answer[0], Outcome.HIT, *lease) if lease is not None else None

    def _hand_out(
        self, name: ObjectName, copy: Copy, outcome: Outcome, session: Session, slot: int
    ) -> CachedFile:
        file, scope = cached_file(copy, outcome, session, slot), self._origin.scope
        self._store.touch(copy, self._clock())
        self._count(outcome)
        if scope is not None and copy.validated_at is not None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[name.bucket, name.key, name.version or None] = copy, scope
        return file

    # ---- asking the origin -------------------------------------------------------------------

    def _ask(self, name: ObjectName) -> Answer:
        """One conditional GET, and the download if it brings another version."""
        copy = self._store.look_up(name, self._origin.scope)
        lease = self._store.claim(copy) if copy is not None else None
        if copy is None or lease is None:
            return self._download(name, None)
        try:
            reply = self._get(name, copy.etag)
            if reply is None:
                return self._confirmed(name, copy, lease)
        except BaseException:
            lease[0].give_back(lease[1])
            raise
        lease[0].give_back(lease[1])
        return self._download(name, reply)

    def _download(self, name: ObjectName, reply: Reply | None) -> Answer:
        """Bring the object in, or find that somebody else has just done so."""
        from .store.partials import PartialLostError

        for tries_left in reversed(range(_LOST)):
            told = "" if reply is None else reply.etag
            hang_up = None if reply is None else reply.body.close
            try:
                with self._store.partial(name, self._patience, hang_up) as partial:
                    if partial.waited:
                        answer, reply = self._after_waiting(name, told)
                        if answer is not None:
                            return answer
                    if reply is None:
                        reply = self._get(name)
                    assert reply is not None, "only if_none_match is answered without a body"
                    return self._receive(name, reply, partial)
            except PartialLostError:
                if not tries_left:
                    raise
                reply = None
        raise AssertionError("the last try returns or raises")

    def _after_waiting(self, name: ObjectName, told: str) -> tuple[Answer | None, Reply | None]:
        """What another download left: an answer, or how the origin's own begins.

        The other may have asked with other credentials. The copy is ours if the origin confirmed
        it to us: it has the ETag that we were `told`, or one of us was the other, or we ask.
        """
        copy = self._store.look_up(name, self._origin.scope)
        lease = self._store.claim(copy) if copy is not None else None
        if copy is None or lease is None:
            return None, None
        try:
            if copy.validated_at is not None and (not told or told == copy.etag):
                return (copy, Outcome.HIT, *lease), None
            reply = None if told == copy.etag else self._get(name, copy.etag)
            if reply is None:
                return self._confirmed(name, copy, lease), None
        except BaseException:
            lease[0].give_back(lease[1])
            raise
        lease[0].give_back(lease[1])
        return None, reply

    def _receive(self, name: ObjectName, reply: Reply, partial: Partial) -> Answer:
        from .origin.download import download

        at = self._clock()
        try:
            final = download(self._origin, name, reply, partial)
        except (ObjectNotFoundError, AccessDeniedError) as error:
            self._refused(name, error)
            raise
        finally:
            with self._tally:
                self._received += partial.transferred
        copy, session, slot = self._store.publish(
            partial,
            name,
            etag=final.etag,
            version_id=final.version_id,
            scope=self._origin.scope,
            at=at,
        )
        return copy, Outcome.FETCHED, session, slot

    def _confirmed(self, name: ObjectName, copy: Copy, lease: tuple[Session, int]) -> Answer:
        self._store.confirm(name, copy, self._origin.scope, self._clock())
        return copy, Outcome.REVALIDATED, *lease

    def _get(self, name: ObjectName, etag: str = "") -> Reply | None:
        """Ask; what a refusal says about the copies here is written down."""
        try:
            return self._origin.get(name.bucket, name.key, name.version or None, if_none_match=etag)
        except (ObjectNotFoundError, AccessDeniedError) as error:
            self._refused(name, error)
            raise

    def _refused(self, name: ObjectName, error: Exception) -> None:
        self._known.pop((name.bucket, name.key, name.version or None), None)
        if isinstance(error, ObjectNotFoundError):
            self._store.forget(name)
        else:
            self._store.revoke(name, self._origin.scope)

    def _count(self, outcome: Outcome) -> None:
        with self._tally:
            self._outcomes[outcome] += 1

    # ---- looking and cleaning ----------------------------------------------------------------

    @property
    def root(self) -> Path:
        """The directory that everything is in."""
        from pathlib import Path

        return Path(self._store.access.root.path)

    def entries(self) -> Iterator[Entry]:
        """Every object that has a copy here, oldest record first."""
        from .store import upkeep

        return upkeep.entries(self._store)

    def usage(self) -> Usage:
        """Where the bytes are: quota, used, leased, reserved and the rest."""
        from .store import upkeep

        return upkeep.usage(self._store)

    def stats(self) -> Stats:
        """What this object has done so far: hits, fetches, bytes, evictions, damage."""
        from .reports import Stats

        access = self._store.access
        with self._tally:
            return Stats(
                hits=self._outcomes[Outcome.HIT],
                revalidated=self._outcomes[Outcome.REVALIDATED],
                fetched=self._outcomes[Outcome.FETCHED],
                stale=self._outcomes[Outcome.STALE],
                bytes_fetched=self._received,
                evicted=access.quota.evicted,
                evicted_bytes=access.quota.evicted_bytes,
                damaged=dict(access.damaged),
            )

    def verify(self) -> Verification:
        """Read and hash everything; damaged copies are thrown away, to be fetched again."""
        from .store import upkeep

        return upkeep.verify(self._store)

    def evict(self, bucket: str, key: str | None = None, version_id: str | None = None) -> int:
        """Forget one object, or a whole bucket; the bytes that this freed.

        Files that somebody still holds stay until they are released and room is needed.
        """
        from .store import upkeep

        self._known.clear()
        return upkeep.evict(self._store, bucket, key, version_id)

    def make_room(self, size: int | str) -> int:
        """Evict, least recently used first, until `size` more bytes fit; the bytes that this freed.

        Raises :class:`~tmpcache.errors.QuotaExceededError` if they cannot.
        """
        from .store import upkeep

        quota = self._store.access.quota.quota
        return upkeep.make_room(self._store, parse_size(size, total=quota, name="size"))

    def gc(self) -> int:
        """Remove what nobody can use: leftovers of the dead, superseded copies; bytes freed.

        Nobody needs to call this: what is in the way is removed when room is needed.
        """
        from .store import upkeep

        return upkeep.gc(self._store)

    def clear(self) -> int:
        """Forget everything and remove all but files in use; the bytes that this freed."""
        from .store import upkeep

        self._known.clear()
        return upkeep.clear(self._store)

    def close(self) -> None:
        """Let go of files and connections; paths handed out stay protected while they are held.

        Not needed before a process ends. A closed cache opens again when it is used.
        """
        self._store.close()
        self._origin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
