"""Where a download writes to: the protocol that a partial file of the store fits."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ...common.objects import ObjectName

    class Sink(Protocol):
        """Receives the bytes of one object; it may hold some of them from an earlier download.

        Several threads may write different byte ranges at the same time.
        """

        #: Bytes from the start of the object that have been received without a gap.
        received: int
        #: ETag and size in bytes of the object; "" and None before `begin`.
        etag: str
        size: int | None

        def begin(self, etag: str, size: int | None, checksum: str, /) -> None:
            """Reserve space for an object, of which nothing has been received yet."""

        def write(self, data: memoryview, at: int, /) -> None:
            """Write `data` at byte `at` of the object."""

        def gaps(self) -> list[tuple[int, int]]:
            """Return what is missing of the object, as pairs of start and end."""

        def check(self, name: ObjectName, /) -> None:
            """Raise :class:`IntegrityError` if the object does not have its checksum."""

        def rewind(self) -> None:
            """Forget all that was received, and the ETag."""
