"""Keeps in memory what the caller's loaders made of objects, as `Cache.load` promises."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from weakref import ref

from ..common.forking import reset_in_children
from ..config import checked_call, number
from ..errors import ConfigError
from .single_flight import SingleFlight

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..cached_file import CachedFile
    from ..store.leases.lease import Lease

    #: A value, its weight, the lease of its file and the length of the file in bytes.
    Kept = tuple[Any, float, Lease, int]


class LoadedObjects:
    """Loaded values by content and loader. The least recently used are dropped first.

    The file of a kept value stays leased: ``np.load`` of an archive, a memory map and many other
    readers open the file, or read more of it, when the value is used.
    """

    def __init__(
        self,
        max_count: int,
        weigher: Callable[[Any], float] | None,
        max_weight: float | None,
        lease: Callable[[int], Lease],
    ) -> None:
        """`lease` leases a blob by its lease id."""
        if (weigher is None) != (max_weight is None):
            raise ConfigError("give loaded_weigher and loaded_weight together, or neither")
        if weigher is not None:
            checked_call("loaded_weigher", weigher)
            max_weight = number("loaded_weight", max_weight, "a weight: give a number")
        if isinstance(max_count, bool) or not isinstance(max_count, int) or max_count < 0:
            raise ConfigError(f"loaded_most={max_count!r} is not a number of objects: zero or more")
        self._max_count, self._weigher, self._lease = max_count, weigher, lease
        self._max_weight = max_weight
        self._values: OrderedDict[tuple[str, object], Kept] = OrderedDict()
        self.forked()
        reset_in_children(self)

    def load(self, fetch: Callable[[], CachedFile], loader: Callable[[CachedFile], Any]) -> Any:
        """Fetch a file; return what `loader` makes of it, or made of the same content before.

        Threads that want the same value wait for one of them. If the loader raises, nothing is
        kept.
        """
        file = fetch()
        value = self._load_once(file, loader)
        lease, known = file._lease, ref(file)
        del file
        if known() is None:  # else the loader has kept the path
            lease.release()
        return value

    def _load_once(self, file: CachedFile, loader: Callable[[CachedFile], Any]) -> Any:
        key = file.name, loader
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key][0]
        value, is_leader = self._single_flight.share(key, None, self._load, file, loader)
        if is_leader:
            self._keep(key, *value)
        return value[0]

    def unload(self, needed: int) -> bool:
        """Drop values, least recently used first, until their files have `needed` bytes together.

        At least one. Return False if there was none.
        """
        dropped: list[Kept] = []  # their finalizers may do anything: not to be run under the lock
        with self._lock:
            while self._values and (not dropped or sum(size for *_, size in dropped) < needed):
                dropped.append(self._values.popitem(last=False)[1])
        for _, _, lease, _ in dropped:
            lease.release()
        return bool(dropped)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            values, self._values = self._values, OrderedDict()
        values.clear()

    def forked(self) -> None:
        """Make lock and calls anew, in a child: the threads that were loading are in the parent."""
        self._lock, self._single_flight = Lock(), SingleFlight()

    def _load(
        self, file: CachedFile, loader: Callable[[CachedFile], Any]
    ) -> tuple[Any, Lease, int]:
        """Load a value; return it with a lease of its own and the length of the file.

        The loader, or the end of the invocation, may release the path that the loader was given.
        """
        lease = self._lease(file._copy.lease_id)
        try:
            return loader(file), lease, file.size
        except BaseException:  # a kept error must not keep the lease
            lease.release()
            raise

    def _keep(self, key: tuple[str, object], value: Any, lease: Lease, size: int) -> None:
        """Keep a value; drop the least recently used ones beyond the limits."""
        weight = self._weigher(value) if self._weigher is not None else 0.0
        dropped: list[Kept] = []  # as in `unload`
        with self._lock:
            if key in self._values:
                dropped.append(self._values.pop(key))
            self._values[key] = value, weight, lease, size
            while len(self._values) > self._max_count or self._is_too_heavy():
                dropped.append(self._values.popitem(last=False)[1])
        for _, _, lease, _ in dropped:
            lease.release()

    def _is_too_heavy(self) -> bool:
        # Summed up each time: a running sum would be wrong for ever after a Ctrl-C in between.
        if self._max_weight is None:
            return False
        return sum([weight for _, weight, *_ in self._values.values()]) > self._max_weight
