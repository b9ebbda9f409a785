"""A lease: an entry in the table of this process's session, which keeps one blob from eviction."""

from __future__ import annotations

from ...common.forking import here, recover_from_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Session(Protocol):
        """The session of the process that leases."""

        table: memoryview
        free: list[int]

        def is_evicted(self, lease_id: int) -> bool:
            """Return whether an evictor has announced the blob."""


def lease_id(name: str) -> int:
    """Return the lease id of a blob file: 60 bits of its digest, never 0.

    It depends on the name alone, so leases stay valid when the index is lost and rebuilt. Two blobs
    with the same id only protect each other.
    """
    return int(name[:15], 16) or 1


class EndedLease:
    """What is left of a lease that was released. It has no finalizer."""

    __slots__ = ("session", "slot")

    session: Session
    slot: int

    def release(self) -> None:
        """Do nothing: the lease has ended."""


class Lease(EndedLease):
    """Protects one blob from eviction until it is released, at the latest with this object.

    An interrupt can lose a lease neither when it is acquired nor when it is released: CPython runs
    signal handlers after calls and jumps, and between the steps that matter there are none. At
    worst a free slot is lost.

    Python drops what a signal handler raises in a finalizer. So a lease loses its own when it is
    released.
    """

    __slots__ = ()

    def release(self) -> None:
        """End the lease. May be called again."""
        self._end()
        self.__class__ = EndedLease  # type: ignore[assignment]

    def _end(self) -> None:
        if not here[0]:
            recover_from_fork()
        try:
            slot = self.slot
            del self.slot  # of two threads, one gets past this line
        except AttributeError:
            return
        session = self.session
        session.table[slot] = 0
        session.free.append(slot)

    def __del__(self) -> None:
        self._end()
