"""What loaders made of objects, kept in memory: a warm container's global variable, done right."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from ..common.forking import reset_in_children
from ..config import checked_call, number
from ..errors import ConfigError
from .single_flight import SingleFlight

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..cached_file import CachedFile
    from ..store.leases.sessions import Lease

    #: A value, its weight, the lease of its file and the length of that in bytes.
    Kept = tuple[Any, float, Lease, int]


class LoadedObjects:
    """Loaded objects by content and loader: at most so many, at most of such a weight, LRU.

    The file of a kept value stays leased: ``np.load`` of an archive, a memory map and many other
    readers open the file, or go on reading it, when the value is used.
    """

    def __init__(
        self,
        most: int,
        weigher: Callable[[Any], float] | None,
        heaviest: float | None,
        take: Callable[[int], Lease],
    ) -> None:
        """`take` leases a file by its lease id."""
        if (weigher is None) != (heaviest is None):
            raise ConfigError("give loaded_weigher and loaded_weight together, or neither")
        if weigher is not None:
            checked_call("loaded_weigher", weigher)
            heaviest = number("loaded_weight", heaviest, "a weight: give a number")
        if isinstance(most, bool) or not isinstance(most, int) or most < 0:
            raise ConfigError(f"loaded_most={most!r} is not a number of objects: zero or more")
        self._most, self._weigher, self._take = most, weigher, take
        self._heaviest = heaviest
        self._values: OrderedDict[tuple[str, object], Kept] = OrderedDict()
        self.forked()
        reset_in_children(self)

    def load(self, file: CachedFile, loader: Callable[[CachedFile], Any]) -> Any:
        """What `loader` makes of the file, or made of the same content before.

        Threads that want the same wait for one of them; a loader that raises leaves nothing.
        """
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
        """Give up values, least recently used first, until their files have `needed` bytes.

        At least one; False if there was none.
        """
        given_up: list[Kept] = []  # a value may do anything when it goes: not under the lock
        with self._lock:
            while self._values and (not given_up or sum(size for *_, size in given_up) < needed):
                given_up.append(self._values.popitem(last=False)[1])
        for _, _, lease, _ in given_up:
            lease.release()
        return bool(given_up)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            values, self._values = self._values, OrderedDict()
        values.clear()

    def forked(self) -> None:
        """In a child: the threads that were loading are in the parent."""
        self._lock, self._single_flight = Lock(), SingleFlight()

    def _load(
        self, file: CachedFile, loader: Callable[[CachedFile], Any]
    ) -> tuple[Any, Lease, int]:
        """The value, with a lease of its own: the loader, or an invocation's end, may release the
        path that it was given.
        """
        lease = self._take(file._copy.lease_id)
        try:
            return loader(file), lease, file.size
        except BaseException:  # whoever keeps the error shall not keep the lease
            lease.release()
            raise

    def _keep(self, key: tuple[str, object], value: Any, lease: Lease, size: int) -> None:
        weight = self._weigher(value) if self._weigher is not None else 0.0
        gone: list[Kept] = []
        with self._lock:
            if key in self._values:
                gone.append(self._values.pop(key))
            self._values[key] = value, weight, lease, size
            while len(self._values) > self._most or self._is_too_heavy():
                gone.append(self._values.popitem(last=False)[1])

    def _is_too_heavy(self) -> bool:
        # Summed up each time: a sum kept along would be wrong for ever after a Ctrl-C in between.
        if self._heaviest is None:
            return False
        return sum([weight for _, weight, *_ in self._values.values()]) > self._heaviest
