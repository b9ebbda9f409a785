"""Listings that are younger than `max_age`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...cache import Cache
    from .listing import Info

#: When there are so many, all are dropped.
_MAX_LISTINGS = 1000


class KeptListings:
    """Keeps what was listed, by path, as of the moment before S3 was asked.

    A listing is for the credentials that were allowed to list.
    """

    def __init__(self, is_on: bool) -> None:
        self._is_on = is_on
        #: When it was asked for, the scope of the credentials, and what was listed.
        self._found: dict[str, tuple[float, str, list[Info]]] = {}
        #: The names of the objects in the last listing, however old it is.
        self.last_files: frozenset[str] = frozenset()

    def get(self, cache: Cache, path: str) -> list[Info] | None:
        """Return copies of the entries; None if S3 has to be asked."""
        at, scope, found = self._found.get(path, (0.0, "", []))
        if not scope or not 0 <= cache._clock() - at < cache._settings["max_age"]:
            return None
        return [dict(info) for info in found] if scope == cache._origin.scope else None

    def ask(self, cache: Cache, path: str, listed: Callable[[], list[Info]]) -> list[Info]:
        """Call what asks S3, and keep what it returns."""
        at, scope = cache._clock(), cache._origin.scope
        found = listed()
        self.last_files = frozenset(info["name"] for info in found if info["type"] == "file")
        if self._is_on and scope and cache._settings["max_age"] > 0:
            if len(self._found) >= _MAX_LISTINGS:
                self.clear()
            self._found[path] = at, scope, [dict(info) for info in found]
        return found

    def clear(self) -> None:
        """Drop all of them."""
        self._found.clear()
        self.last_files = frozenset()
