"""What loaders made of objects, kept in memory: a warm container's global variable, done right."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from .errors import ConfigError
from .flights import Flights
from .forking import reset_in_children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .file import CachedFile


class Memory:
    """Loaded objects by content and loader: at most so many, at most of such a weight, LRU."""

    def __init__(
        self, most: int, weigher: Callable[[Any], float] | None, heaviest: float | None
    ) -> None:
        if (weigher is None) != (heaviest is None):
            raise ConfigError("give loaded_weigher and loaded_weight together, or neither")
        if isinstance(most, bool) or not isinstance(most, int) or most < 0:
            raise ConfigError(f"loaded_most={most!r} is not a number of objects: zero or more")
        self._most, self._weigher, self._heaviest = most, weigher, heaviest
        self._values: OrderedDict[tuple[str, object], tuple[Any, float]] = OrderedDict()
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
        value, led = self._flights.share(key, lambda: loader(file))
        if led:
            self._keep(key, value)
        return value

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()

    def forked(self) -> None:
        """In a child: the threads that were loading are in the parent."""
        self._lock, self._flights = Lock(), Flights()

    def _keep(self, key: tuple[str, object], value: Any) -> None:
        weight = self._weigher(value) if self._weigher is not None else 0.0
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = value, weight
            while len(self._values) > self._most or self._is_too_heavy():
                self._values.popitem(last=False)

    def _is_too_heavy(self) -> bool:
        # Summed up each time: a sum kept along would be wrong for ever after a Ctrl-C in between.
        if self._heaviest is None:
            return False
        return sum([weight for _, weight in self._values.values()]) > self._heaviest
