"""The class :class:`Cache`: settings, and the methods for one object.

Other methods are in :mod:`.fetching.many_objects`, :mod:`.fetching.uploads`,
:mod:`.fetching.coroutines` and :mod:`.fetching.administration`. How a fetch is answered is in
:mod:`.fetching.fetcher`.
"""

from __future__ import annotations

import os
import time

from .common.objects import ObjectName
from .config import Settings, checked_call, checked_client, refuse_root, split_url, split_url_before
from .errors import ConfigError, TmpCacheError, brief
from .fetching.administration import Administration
from .fetching.coroutines import awaited
from .fetching.fetcher import Fetcher
from .fetching.loaded_objects import LoadedObjects
from .fetching.many_objects import ManyObjects
from .fetching.uploads import Uploads
from .invocations.context import current, time_left
from .origin.choice import chosen
from .store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Self, TypeVar

    from .cached_file import CachedFile
    from .fetching.progress import ByteProgress
    from .invocations.decorator import Starter
    from .invocations.scratch import Scratch
    from .origin import Origin

    T = TypeVar("T")


class Cache(ManyObjects, Uploads, Administration):
    """Keeps S3 objects as local files in one directory, which any number of processes may share.

    Args:
        root: the directory; default ``tmpcache-<uid>`` under ``$TMPDIR`` or ``/tmp``.
        quota: bytes that it may occupy: a whole number, ``"400 MB"``, ``"1.5 GiB"`` or, of the file
            system, ``"80%"``. Default: in Lambda 80 % of it, elsewhere the smaller of 10 GiB and
            half of what is free.
        min_free: bytes to leave free on the file system, even if other programs fill it; default 0.
        max_age: seconds since the origin last confirmed a copy during which it is served without
            asking; default 0: ask every time.
        stale_if_error: seconds past `max_age` during which the copy is served if the origin is
            unreachable, throttles or fails; default 0.
        client: a boto3 S3 client to use instead of one made from the environment.
        request_options: parameters for every request that S3 has them for, such as
            ``{"ExpectedBucketOwner": "…"}``.
        lock_timeout: seconds. When another process downloads the object and makes no progress for
            so long, this process downloads it itself; default 10.
        loaded_most: how many objects :meth:`load` keeps in memory; default 32.
        loaded_weigher: a function that returns the weight of a loaded object, in any unit.
        loaded_weight: the weight that all of them may have together. Give both or none.
        clock: a function that returns the time in seconds since the epoch; for tests.
        origin: what asks S3. ``"auto"`` (the default) and ``"direct"`` send requests without boto3
            where boto3 would send the same, and through boto3 elsewhere (credentials that are not
            plain keys, proxies, mocks, tracers). ``"boto3"``. ``"obstore"``, an extra
            (``tmpcache[fast]``). Or an object that fits :class:`tmpcache.origin.Origin`, from which
            objects come instead of S3.
        offline: send no request; serve every copy that S3 has given these credentials before,
            however old it is, and raise :class:`~tmpcache.errors.NotCachedError` for other objects.
        listings: prefixes, as URLs (``["s3://models/micr/"]``). Their listings, which
            :meth:`put_listing` makes, confirm copies of what is below them, so that S3 is not asked
            about each one.
        ask_again_after: seconds after S3 itself last answered about an object, when it is asked
            whatever a listing says; default 12 hours. It bounds for how long an object may be
            served to credentials that may not read it any more.

    The first five, `lock_timeout`, `origin`, `offline`, `listings` (separated by spaces or commas)
    and `ask_again_after` also come from the environment, as ``TMPCACHE_ROOT`` and so on.

    Raises:
        ConfigError: a setting has a value that it cannot have.
        UnsafeRootError: the directory belongs to another user, or others may enter it.

    Many threads may use one cache, and forked children may go on using it. It pickles as its
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
        offline: bool | None = None,
        listings: str | Iterable[str] | None = None,
        ask_again_after: float | None = None,
    ) -> None:
        ages = max_age, stale_if_error, lock_timeout
        settings = Settings(root, quota, min_free, *ages, offline, listings, ask_again_after)
        self._clock = checked_call("clock", clock)
        self._origin = chosen(origin, checked_client(client), request_options, settings.offline)
        try:
            self._store = Store(
                settings.root, settings.quota, settings.min_free, clock, time_left=time_left
            )
        except OSError as error:
            refuse_root(settings.root, error)
        self._fetcher = Fetcher(self._store, self._origin, clock, settings)
        self._store.database.statistics.count_of_fetches = self._fetcher.tally.counters
        self._loaded = LoadedObjects(loaded_most, loaded_weigher, loaded_weight, self._store.lease)
        self._fetcher.unload = self._loaded.unload
        if settings.listings and not settings.offline:
            from .fetching.listings.confirmation import Listings

            self._listings = Listings(self._fetcher, settings)
            self._fetcher.listed = self._listings.confirm
        #: The arguments from which another process makes the same cache.
        self._settings = {name: getattr(settings, name) for name in settings.__slots__} | {
            **{"client": client, "origin": origin, "request_options": request_options},
            **{"loaded_most": loaded_most, "loaded_weigher": loaded_weigher},
            **{"loaded_weight": loaded_weight, "clock": clock},
        }

    def __reduce__(self) -> tuple[object, ...]:
        given = "client" if self._settings["client"] is not None else "origin"
        if not isinstance(self._settings[given], (str, type(None))):
            what = f"a cache that was given {given}= cannot be pickled, as that is of this process"
            raise ConfigError(f"{what}: leave it out, or make the cache in the other process")
        return _with_settings, (type(self), self._settings)

    # ---- fetching ----------------------------------------------------------------------------

    def fetch(
        self,
        bucket: str,
        key: str | None = None,
        *,
        max_age: float | None = None,
        stale_if_error: float | None = None,
        version_id: str | None = None,
        sha256: str | None = None,
        progress: ByteProgress | bool | None = None,
    ) -> CachedFile:
        """Return the local path of a whole, current copy of an object.

        The object is given as a bucket and a key, or as one URL, ``s3://bucket/key``. The file is
        read-only and stays while the returned path object lives. `max_age` and `stale_if_error`
        (seconds) override the cache's. With `version_id` the copy never goes stale, as versions do
        not change. Only ``"null"``, which an unversioned bucket overwrites, ages as any object.

        With `sha256`, 64 hexadecimal digits, the content must have that hash. A copy that has it
        never goes stale; an object that has another one raises an error, and is not kept.
        `progress` is called with the bytes received so far and the size of the object, while it is
        downloaded. True draws a bar on the terminal if tqdm or rich is installed.

        S3 is not asked while the copy is fresh. So if the right to read an object is withdrawn, or
        the object is deleted, this call does not notice it within `max_age`, and with `version_id`
        or `sha256` it never does. To have S3 asked, give `max_age=0`, or call :meth:`evict` first.

        A hit usually makes one system call, a stat, and locks and writes no file. If 30 seconds
        have passed since the last write to the index, a hit also writes which copies were used.

        Raises:
            ObjectNotFoundError, AccessDeniedError: S3 says so; never answered from the cache.
            OriginUnavailableError: S3 could not be asked, and `stale_if_error` allows no copy.
            DeadlineExceededError: the invocation has no time left for it.
            QuotaExceededError: there is no room, even after evicting all that may be evicted.
            ObjectChangedError: the object was replaced twice while it was read.
            IntegrityError: the bytes do not have S3's checksum or length, or not that `sha256`.

        >>> path = cache.fetch("models", "micr/e13b.npz", max_age=300)      # doctest: +SKIP
        >>> path.outcome, path.size, path.suffix                            # doctest: +SKIP
        (<Outcome.FETCHED: 'fetched'>, 53248, '.npz')
        """
        try:
            if sha256 is None and not progress:
                return self._fetcher.fetch(bucket, key, version_id, max_age, stale_if_error)
            from .fetching.single_object import fetch

            ages = max_age, stale_if_error
            return fetch(self._fetcher, bucket, key, version_id, ages, sha256, progress)
        except TmpCacheError as error:
            raise brief(error) from error.__cause__

    afetch = awaited(fetch)
    """As :meth:`fetch`, in a thread while the event loop goes on; `progress` is called there.

    When the task is cancelled, the transfer ends, and the next fetch resumes it.
    """

    def peek(
        self, bucket: str, key: str | None = None, *, version_id: str | None = None
    ) -> CachedFile | None:
        """Return the path of a copy without asking S3; None if there is no copy.

        The copy is one that S3 has given these credentials before, however long ago.
        """
        from .fetching.single_object import peek

        if key is None:
            bucket, key = split_url(bucket)
        return peek(self._fetcher, ObjectName(self._origin.name, bucket, key, version_id))

    # ---- the life of an invocation -----------------------------------------------------------

    def scratch(self) -> Scratch:
        """Make a private directory, itself a Path, which is removed at the end of ``with``."""
        from .invocations.scratch import new_scratch

        scratch = new_scratch(self._store, self.fetch, self._make_room_on_disk)
        if (run := current()) is not None:
            run.note_scratch(scratch)
        return scratch

    @property
    def invocation(self) -> Starter:
        """Decorator and context manager: :class:`tmpcache.invocations.decorator.Invocation`."""
        from functools import partial

        from .invocations.decorator import invocation

        return partial(invocation, cache=lambda: self)

    def load(
        self,
        bucket: str,
        key: str | Callable[[CachedFile], T],
        loader: Callable[[CachedFile], T] | None = None,
        *,
        max_age: float | None = None,
        stale_if_error: float | None = None,
        version_id: str | None = None,
    ) -> T:
        """Return what `loader` makes of the object's path, and keep that in memory.

        The object (bucket and key, or one URL) is fetched as by :meth:`fetch`, so freshness and
        permissions are the same. It is loaded again exactly when its content has changed. If
        several threads want it, one loads it and the others wait. If the loader raises, nothing is
        kept. Give the same function each time: a new lambda is a new loader.

        The file stays as long as the value is kept, so a loader may read it later (``np.load`` of
        an archive, a memory map, a lazy table). Values are dropped, least recently used first, when
        there are more than `loaded_most`, and when this cache needs the room of their files.

        >>> model = cache.load("models", "micr/e13b.npz", np.load, max_age=300)  # doctest: +SKIP
        """
        bucket, name, loader = split_url_before(bucket, key, loader, "loader")
        checked_call("loader", loader)
        how: Any = {"max_age": max_age, "stale_if_error": stale_if_error, "version_id": version_id}
        value: T = self._loaded.load(lambda: self.fetch(bucket, name, **how), loader)
        return value

    aload = awaited(load)
    """As :meth:`load`, in a thread, where the loader runs; a cancellation does not end that."""

    def __repr__(self) -> str:
        from humanize import naturalsize

        quota = naturalsize(self._store.database.quota.quota)
        return f"<{type(self).__name__} {self.root} of at most {quota}>"

    def close(self) -> None:
        """Close files and connections. Paths that were returned stay protected while they are held.

        Not needed before a process ends. A closed cache opens again when it is used.
        """
        self._store.close()
        self._origin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _with_settings(kind: type[Cache], settings: dict[str, Any]) -> Cache:
    """Make the cache that was pickled in another process."""
    return kind(**settings)
