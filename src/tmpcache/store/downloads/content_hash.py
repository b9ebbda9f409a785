"""The digest of an object's content, and its checksum, computed while the bytes arrive."""

from __future__ import annotations

import xxhash

from ...errors import IntegrityError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...common.checksum import Checksum


class ContentHash:
    """The digest, and the checksum that the origin announced, of the bytes added so far."""

    def __init__(self) -> None:
        self._hash = xxhash.xxh3_128()
        self._checksum: Checksum | None = None

    def announce(self, checksum: str) -> None:
        """Compute the checksum that the origin announced, too; "" for none."""
        if checksum:
            from ...common.checksum import Checksum

            self._checksum = Checksum(checksum)

    @property
    def announced(self) -> str:
        """The announced checksum, "" for none."""
        return "" if self._checksum is None else self._checksum.announced

    def update(self, data: memoryview) -> None:
        """Add the next bytes."""
        self._hash.update(data)
        if self._checksum is not None:
            self._checksum.update(data)

    def digest(self) -> str:
        """Return the xxh3_128 hash, 32 hexadecimal digits."""
        digest: str = self._hash.hexdigest()
        return digest

    def check(self, subject: object) -> None:
        """Raise :class:`IntegrityError` unless the content has the announced checksum."""
        if self._checksum is not None and not self._checksum.matches:
            raise IntegrityError(
                f"{subject}: the bytes that arrived do not fit the origin's checksum "
                f"({self._checksum.announced} was announced, {self._checksum.computed} came). "
                "Nothing was kept; try again."
            )
