"""Copies that this process remembers, so that a hit need not read the index."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..common.objects import Copy, ObjectName

    _Copies = dict[tuple[str, str, str | None], Copy]
else:
    _Copies = dict

#: Some 600 bytes each. Beyond these a hit reads the index (12 µs).
_MAX_COPIES = 50_000


class RememberedCopies(_Copies):
    """Confirmed copies, each with the scope it was confirmed to, by bucket, key and version.

    The version is None for the latest. A dictionary, so that a look-up is one step in C.
    """

    __slots__ = ()

    def remember(self, name: ObjectName, copy: Copy) -> None:
        """Remember a copy, unless it was not confirmed or nobody knows to whom."""
        if copy.scope is None or copy.validated_at is None:
            return
        if len(self) >= _MAX_COPIES:
            self.clear()
        self[name.bucket, name.key, name.version or None] = copy

    def forget(self, name: ObjectName) -> None:
        """Forget the copy of an object."""
        self.pop((name.bucket, name.key, name.version or None), None)
