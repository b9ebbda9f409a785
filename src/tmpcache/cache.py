"""The hall, as its users see it; how a fetch is answered is next door, in `fetching`."""

from __future__ import annotations

import os
import time

from .cached_file import CachedFile, Outcome, cached_file
from .common.interruption import reraise_interrupt
from .common.objects import ObjectName
from .config import Settings, checked_call, checked_client, refuse_root, seconds, split_url
from .errors import ConfigError
from .fetching.fetcher import Fetcher
from .fetching.loaded_objects import LoadedObjects
from .invocations.context import current, current_start, time_left
from .origin.choice import chosen
from .store import Store
from .store.store import is_intact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import Any, BinaryIO, Self, TypeVar, overload

    from .fetching.many.fetch_many import Progress
    from .fetching.many.fetch_prefix import CachedPrefix
    from .fetching.many.warm import Manifest
    from .invocations.decorator import Starter
    from .invocations.scratch import Scratch
    from .origin import Origin
    from .reports import Entry, Stats, Usage, Verification, Warming

    T = TypeVar("T")


class Cache:
    """Objects of S3 as local files, in one directory that any number of processes may share.

    Args:
        root: the directory; default ``tmpcache-<uid>`` under ``$TMPDIR`` or ``/tmp``.
        quota: bytes that it may occupy: a whole number, ``"400 MB"``, ``"1.5 GiB"`` or, of the file
            system, ``"80%"``. Default: in Lambda 80 % of it, elsewhere the smaller of 10 GiB and
            half of what is free.
        min_free: bytes to leave free on the file system, whoever fills it; default 0.
        max_age: seconds since the origin last confirmed a copy during which it is served without
            asking; default 0: ask every time.
        stale_if_error: seconds past `max_age` during which an origin that is unreachable,
            throttles or fails is answered for with the copy; default 0.
        client: a boto3 S3 client to use instead of one made from the environment.
        request_options: sent along with every request that S3 has them for, such as
            ``{"ExpectedBucketOwner": "…"}``.
        lock_timeout: seconds without progress after which another process's download is not
            waited for any more; default 10.
        loaded_most: how many objects :meth:`load` keeps in memory; default 32.
        loaded_weigher, loaded_weight: what says how heavy a loaded object is, and how heavy all
            of them may be together; given together, in a unit of your choice.
        clock: what tells the time in seconds since the epoch; for tests.
        origin: what S3 is asked through: ``"auto"`` (the default) or ``"direct"``, without boto3
            where that would do nothing else, and through it where it might (other credentials than
            keys, proxies, mocks, tracers); ``"boto3"``; ``"obstore"``, an extra
            (``tmpcache[fast]``). Or where objects come from instead of S3 (see
            :class:`tmpcache.origin.Origin`).

    The first five, `lock_timeout` and `origin` also come from the environment, as
    ``TMPCACHE_ROOT``, ``TMPCACHE_QUOTA`` and so on.

    Raises:
        ConfigError: a setting that cannot be.
        UnsafeRootError: the directory belongs to somebody else, or may be entered by others.

    A cache may be used by many threads, and goes on in forked children. It pickles by its
    settings, for processes that are spawned, unless it was given a `client` or an origin object.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        quota: float | str | None = None,
        min_free: float | str | None = None,
        max_age: float | None = None,
        stale_if_error: float | None = None,
        client: Any = None,
        *,
        request_options: Mapping[str, str] | None = None,
        lock_timeout: float | None = None,
        loaded_most: int = 32,
        loaded_weigher: Callable[[Any], float] | None = None,
        loaded_weight: float | None = None,
        clock: Callable[[], float] = time.time,
        origin: Origin | str | None = None,
    ) -> None:
        settings = Settings(root, quota, min_free, max_age, stale_if_error, lock_timeout)
        self._max_age, self._stale_if_error = settings.max_age, settings.stale_if_error
        self._clock = checked_call("clock", clock)
        self._origin = chosen(origin, checked_client(client), request_options)
        try:
            self._store = Store(
                settings.root, settings.quota, settings.min_free, clock, time_left=time_left
            )
        except OSError as error:
            refuse_root(settings.root, error)
        self._fetcher = Fetcher(self._store, self._origin, clock, settings.lock_timeout)
        self._known = self._fetcher.known
        self._loaded = LoadedObjects(loaded_most, loaded_weigher, loaded_weight, self._store.lease)
        self._fetcher.unload = self._loaded.unload
        #: What another process makes the same cache of.
        self._settings: dict[str, Any] = {
            **{name: getattr(settings, name) for name in settings.__slots__},
            **{"client": client, "origin": origin, "request_options": request_options},
            **{"loaded_most": loaded_most, "loaded_weigher": loaded_weigher},
            **{"loaded_weight": loaded_weight, "clock": clock},
        }

    def __reduce__(self) -> tuple[object, ...]:
        given = "client" if self._settings["client"] is not None else "origin"
        if not isinstance(self._settings[given], (str, type(None))):
            raise ConfigError(
                f"a cache that was given {given}= cannot be pickled, as what was given belongs to "
                f"this process: leave {given}= out, or make the cache in the other process"
            )
        return _with_settings, (type(self), self._settings)

    # ---- fetching ----------------------------------------------------------------------------

    if TYPE_CHECKING:

        @overload
        def fetch(
            self,
            url: str,
            /,
            *,
            max_age: float | None = None,
            stale_if_error: float | None = None,
            version_id: str | None = None,
        ) -> CachedFile: ...

        @overload
        def fetch(
            self,
            bucket: str,
            key: str,
            *,
            max_age: float | None = None,
            stale_if_error: float | None = None,
            version_id: str | None = None,
        ) -> CachedFile: ...

    def fetch(
        self,
        bucket: str,
        key: str | None = None,
        *,
        max_age: float | None = None,
        stale_if_error: float | None = None,
        version_id: str | None = None,
    ) -> CachedFile:
        """The local path of a whole, current copy of an object: of ``s3://bucket/key``, or of both.

        The file is read-only and stays while the returned path object lives. `max_age` and
        `stale_if_error` (seconds) override the cache's. With `version_id` the copy never goes
        stale, as versions do not change; but ``"null"``, which an unversioned bucket overwrites, is
        as fresh as any object.

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
        limit = self._max_age if max_age is None else max_age
        try:
            copy = self._known.get((bucket, key, version_id))  # type: ignore[arg-type]
            now = self._clock() if copy is not None else 0.0
            is_fresh = copy is not None and (
                0 <= (age := now - copy.validated_at) < limit  # type: ignore[operator]
                or (version_id and version_id != "null")  # see freshness.is_immutable
                or 0 <= age <= now - current_start()
            )
        except TypeError as error:  # what no argument can be is looked at below
            reraise_interrupt(error)
            copy, is_fresh = None, False
        if copy is not None and is_fresh and copy.scope == self._origin.scope:
            lease = self._store.lease(copy.lease_id)
            table = lease.session.table
            if not table[0] and is_intact(copy) and not table[0]:  # is_safe, in short
                self._store.touch(copy, now)
                fetcher = self._fetcher
                with fetcher.tally:
                    fetcher.outcomes[Outcome.HIT] += 1
                file = cached_file(copy, Outcome.HIT, lease)
                if (run := current()) is not None:
                    run.note_file(file)
                return file
            lease.release()
        if key is None:
            return self.fetch(
                *split_url(bucket),
                max_age=max_age,
                stale_if_error=stale_if_error,
                version_id=version_id,
            )
        return self._fetcher.fetch(
            bucket, key, version_id, *self._freshness_limits(max_age, stale_if_error)
        )

    def fetch_many(
        self,
        bucket: str,
        keys: Iterable[str],
        *,
        max_age: float | None = None,
        stale_if_error: float | None = None,
        threads: int | None = None,
        return_exceptions: bool = False,
        progress: Progress | None = None,
    ) -> list[CachedFile]:
        """The paths of many objects, in the order of the keys, fetched by several threads.

        Each object is fetched once; a key that comes again gets a path of its own. All paths are
        leased, so the quota must have room for all. `threads` (default 32, at most 64) end with
        the call; what is fresh needs none. `progress` is called by this thread, with objects done,
        objects in all and bytes received; what it raises ends the call.

        Raises :class:`~tmpcache.errors.FetchManyError`, an ``ExceptionGroup`` of what :meth:`fetch`
        raised, when all others have been fetched: its ``results`` has them. With
        `return_exceptions`, errors take the places of paths instead.

        >>> paths = cache.fetch_many("models", ["a.npz", "b.npz"], max_age=60)  # doctest: +SKIP
        """
        from .fetching.many.fetch_many import fetch_many

        if not hasattr(keys, "__iter__"):
            raise ConfigError(f"keys={keys!r} is not a list of keys")
        _check_progress(progress)
        patience = self._freshness_limits(max_age, stale_if_error)
        options = *patience, threads, return_exceptions, progress
        return fetch_many(self._fetcher, bucket, keys, *options)

    def fetch_prefix(
        self,
        bucket: str,
        prefix: str,
        *,
        into: Scratch | str | os.PathLike[str] | None = None,
        links: str = "hard",
        stale_if_error: float | None = None,
        threads: int | None = None,
        return_exceptions: bool = False,
        progress: Progress | None = None,
    ) -> CachedPrefix:
        """All objects whose keys begin with `prefix`: a mapping of key to path, in key order.

        One listing request for 1,000 keys confirms what is here, to credentials that S3 has given
        it to before; all else is fetched as by :meth:`fetch_many`, which says what is raised.
        Without a listing there is no answer, whatever `stale_if_error` says.

        `into`, a directory or a :meth:`scratch`, gets hard links, in directories as the keys have
        them below the prefix's last ``/``. Nothing is overwritten: ``unlinked`` of the result has
        the keys that cannot be file names, or whose place is taken, and why. ``missing`` has the
        keys that were listed but are not there. With ``links="copy"`` they are copies (on file
        systems that can, of no blocks of their own), for programs that refuse a file with several
        links, as onnx does.

        >>> tree = cache.fetch_prefix("models", "micr/", into="/opt/micr")  # doctest: +SKIP
        """
        from .fetching.many.fetch_prefix import fetch_prefix

        _check_progress(progress)
        options = (
            self._freshness_limits(None, stale_if_error)[1],
            threads,
            return_exceptions,
            progress,
        )
        return fetch_prefix(self._fetcher, bucket, prefix, into, *options, links)

    def _freshness_limits(
        self, max_age: float | None, stale_if_error: float | None
    ) -> tuple[float, float]:
        age = self._max_age if max_age is None else max_age
        grace = self._stale_if_error if stale_if_error is None else stale_if_error
        return seconds("max_age", age), seconds("stale_if_error", grace)

    def manifest(self) -> str:
        """What is here, last used first, as JSON for :meth:`warm` elsewhere; keys, but no secrets.

        ``{"tmpcache-manifest": 1, "objects": [{"bucket", "key", "etag", "size"}, …]}``, sizes in
        bytes, with ``"version"`` where one was asked for.

        >>> cache.put("deploy", "warm.json", cache.manifest().encode())     # doctest: +SKIP
        """
        from .fetching.many.warm import manifest

        return manifest(self._fetcher)

    def warm(
        self,
        manifest: Manifest,
        *,
        max_bytes: int | str | None = None,
        max_seconds: float | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Warming:
        """Fetch what a :meth:`manifest` (text, path or mapping) names, hottest first; a report.

        Nothing is evicted for it: what does not fit into what is free, `max_bytes` or
        `max_seconds` is left out. What is here is not asked about, of what has changed the present
        version is fetched. Errors are counted, not raised, but `ConfigError` for no manifest.

        >>> cache.warm(cache.fetch("deploy", "warm.json"), max_seconds=5)   # doctest: +SKIP
        """
        from .fetching.many.warm import warm

        _check_progress(progress)
        return warm(self._fetcher, manifest, max_bytes, max_seconds, threads, progress)

    # ---- the life of an invocation -----------------------------------------------------------

    def scratch(self) -> Scratch:
        """A private directory under the root, itself a Path, removed at the end of ``with``."""
        from .invocations.scratch import new_scratch, with_room

        make = self._store.scratch_directory
        scratch = new_scratch(self, with_room(self._store, "a scratch directory", make))
        if (run := current()) is not None:
            run.note_scratch(scratch)
        return scratch

    @property
    def invocation(self) -> Starter:
        """Decorator and context manager; see :class:`tmpcache.invocations.decorator.Invocation`."""
        from functools import partial

        from .invocations.decorator import invocation

        return partial(invocation, cache=lambda: self)

    def load(
        self,
        bucket: str,
        key: str,
        loader: Callable[[CachedFile], T],
        *,
        max_age: float | None = None,
        stale_if_error: float | None = None,
        version_id: str | None = None,
    ) -> T:
        """What `loader` makes of the object's path, kept in memory as long as the content is this.

        The object is fetched as by :meth:`fetch` (so freshness and permissions are the same), and
        loaded again exactly when its content has changed. One thread loads for all that wait. Of a
        loader that raises nothing is kept. Give the same function each time: a new lambda is a new
        loader.

        The file stays as long as the value is kept here, so a loader may read it later
        (``np.load`` of an archive, a memory map, a lazy table). Values go, least recently used
        first, beyond `loaded_most`, and where this cache needs the room of their files.

        >>> model = cache.load("models", "micr/e13b.npz", np.load, max_age=300)  # doctest: +SKIP
        """
        checked_call("loader", loader)
        file = self.fetch(
            bucket, key, max_age=max_age, stale_if_error=stale_if_error, version_id=version_id
        )
        value: T = self._loaded.load(file, loader)
        return value

    def put(
        self,
        bucket: str,
        key: str,
        source: str | os.PathLike[str] | bytes | BinaryIO,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
        content_type: str | None = None,
        request_options: Mapping[str, str] | None = None,
    ) -> CachedFile:
        """Upload a file, bytes or an open binary file; then they are in the cache as well.

        The copy has the ETag that S3 answered, so that the next fetch here is a hit or a 304. Large
        sources are uploaded in parts. `if_match` (an ETag) and `if_none_match` (``"*"``) are for
        writers that race: the one that loses gets :class:`~tmpcache.errors.ObjectChangedError`. An
        upload that fails changes nothing, here or there. `request_options`
        (``ServerSideEncryption``, ``ACL``, …) are for this upload, beside the cache's own.
        """
        from .fetching.put import put

        return put(
            self._fetcher,
            ObjectName(self._origin.name, bucket, key),
            source,
            if_match=if_match,
            if_none_match=if_none_match,
            content_type=content_type,
            request_options=request_options,
        )

    def _sweep(self) -> None:
        self._store.database.sweep_if_needed()

    # ---- looking and cleaning ----------------------------------------------------------------

    @property
    def root(self) -> Path:
        """The directory that everything is in."""
        from pathlib import Path

        return Path(self._store.database.root.path)

    def entries(self) -> Iterator[Entry]:
        """Every object that has a copy here, oldest record first."""
        from .store import maintenance

        return maintenance.entries(self._store)

    def usage(self) -> Usage:
        """Where the bytes are: quota, used, leased, reserved and the rest."""
        from .store import maintenance

        return maintenance.usage(self._store)

    def stats(self) -> Stats:
        """What this object has done so far: hits, fetches, bytes, evictions, damage."""
        from .reports import stats

        return stats(self._fetcher)

    def verify(self) -> Verification:
        """Read and hash everything; damaged copies are thrown away, to be fetched again."""
        from .store import maintenance

        return maintenance.verify(self._store)

    def evict(self, bucket: str, key: str | None = None, version_id: str | None = None) -> int:
        """Forget one object, or a whole bucket; the bytes that this freed.

        Files that somebody still holds stay until they are released and room is needed.
        """
        from .store import maintenance

        ObjectName("", bucket, "*" if key is None else key, version_id)  # refuses what is no name
        self._known.clear()
        return maintenance.evict(self._store, bucket, key, version_id)

    def make_room(self, size: int | str) -> int:
        """Evict, least recently used first, until `size` more bytes fit; the bytes that this freed.

        Raises :class:`~tmpcache.errors.QuotaExceededError` if they cannot.
        """
        from .store import maintenance

        return self._fetcher.retry_unloading(lambda: maintenance.make_room(self._store, size))

    def gc(self) -> int:
        """Remove what nobody can use: leftovers of the dead, superseded copies; bytes freed.

        Nobody needs to call this: what is in the way is removed when room is needed.
        """
        from .store import maintenance

        return maintenance.gc(self._store)

    def clear(self) -> int:
        """Forget everything, what :meth:`load` keeps too, and remove all but files in use.

        Returns the bytes that this freed.
        """
        from .store import maintenance

        self._known.clear()
        self._loaded.clear()
        return maintenance.clear(self._store)

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


def _check_progress(progress: Progress | None) -> None:
    if progress is not None:
        checked_call("progress", progress)


def _with_settings(kind: type[Cache], settings: dict[str, Any]) -> Cache:
    """A cache that was pickled, in another process."""
    return kind(**settings)
