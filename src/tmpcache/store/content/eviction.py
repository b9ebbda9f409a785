"""Eviction: deletes the blobs that nobody leases, so that no reader loses a file that it holds.

:func:`unlink` is the only place where blobs in the index are deleted.

# Order

Superseded blobs go first, then the least recently used. A leased blob is never evicted.

# Protocol

The index's write lock is held, so there is one evictor at a time. Where the disk is too full to
open the index, :mod:`..database.room_for_index` excludes all others. For at most 64 blobs at a time
the evictor

1. announces their lease ids, in the session of every live process;
2. reads the leases of all these processes;
3. unlinks the blobs that are not leased;
4. withdraws the announcement.

A process that leases a blob before step 2 keeps it. One that leases it later finds the blob
announced, treats it as a miss and asks the index, for which it waits until this transaction has
ended (:mod:`..leases.session`). A reader that has opened the file keeps its content in any case, as
POSIX demands.

# Crash safety

If the evictor dies in between, what it announced costs each process one look at the index. Files
that are gone while their rows are not are found by the next transaction (:mod:`.crash_recovery`).

# Other files

Two other places remove files from ``blobs/``, and none of these is a blob in use: a download
removes a file that it renamed to there and could not record, and :meth:`.Root.remove` removes the
directory of a format that no live process uses. A third one replaces files: a download is renamed
to the name of its blob. If a file has that name, it is damaged, or the index does not know it.
"""

from __future__ import annotations

import os

from ..filesystem.files import names as names_in
from ..filesystem.files import remove
from ..leases.lease import lease_id
from ..leases.session import EVICTED_AT_ONCE
from . import blobs
from .checked_values import byte_count, lease_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..index import Index
    from ..root import Root

    #: Row id, file name and allocated bytes of a blob.
    Victim = tuple[int, str, int]


class Victims:
    """Blobs to evict, in order, and the blobs that were passed over because they are in use."""

    __slots__ = ("blobs", "bytes", "leased_blobs", "leased_bytes")

    def __init__(self) -> None:
        self.blobs: list[Victim] = []
        self.bytes = self.leased_blobs = self.leased_bytes = 0


def choose_victims(index: Index, leased: set[int], shortage: int) -> Victims:
    """Choose blobs of at least `shortage` bytes, or all that are not in use.

    If they do not reach `shortage`, every blob in use has been counted.
    """
    victims = Victims()
    for id, name, size in index.scan(
        "SELECT id, name, allocated FROM blobs ORDER BY superseded DESC, used_at"
    ):
        if lease_of(name) in leased:
            victims.leased_blobs += 1
            victims.leased_bytes += byte_count(size)
            continue
        victims.blobs.append((id, name, size))
        victims.bytes += byte_count(size)
        if victims.bytes >= shortage:
            break
    return victims


def evict(root: Root, index: Index, victims: Sequence[Victim]) -> list[Victim]:
    """Delete the files and rows of the victims that are not in use; return these victims."""
    for _, name, size in victims:
        lease_of(name)
        byte_count(size)
    in_use = unlink(root, [name for _, name, _ in victims])
    evicted = [victim for victim in victims if victim[1] not in in_use]
    index.run_many("DELETE FROM blobs WHERE id = ?", [(id,) for id, _, _ in evicted])
    return evicted


def evict_without_index(root: Root, needed: int) -> None:
    """Delete at least `needed` bytes of the oldest blobs when the index has no room to be opened.

    The caller holds the write lock or excludes that anybody has it, and marks a change as
    unfinished, so that the next transaction reconciles.
    """
    leased, found = root.live_sessions.leased(), []
    for name in names_in(root.blobs, blobs.is_name):
        if lease_id(name) not in leased:
            try:
                status = os.lstat(os.path.join(root.blobs, name))
            except FileNotFoundError:
                continue
            found.append((status.st_mtime_ns, name, status.st_blocks * 512))
    oldest = {}
    for _, name, size in sorted(found):
        oldest[name] = size
        needed -= size
        if needed <= 0:
            break
    kept = unlink(root, [*oldest])
    evicted = [name for name in oldest if name not in kept]
    note_evicted(evicted, sum(oldest[name] for name in evicted), "the disk is full")


def note_evicted(names: Sequence[str], freed: int, reason: str) -> None:
    """Note that blobs of these names, of `freed` bytes, were evicted, if any were."""
    if names:
        from ...common.events import note

        digests = tuple(name[:32] for name in names)
        note("Evicted", digests=digests, bytes=freed, reason=reason)


def unlink(root: Root, names: Sequence[str]) -> set[str]:
    """Delete the blobs of these names that are not in use; return the names of those in use.

    Under the index's write lock. Names that no blob can have are passed over; directories stay.
    """
    kept: set[str] = set()
    sessions = root.live_sessions
    for start in range(0, len(names), EVICTED_AT_ONCE):
        batch = [name for name in names[start : start + EVICTED_AT_ONCE] if _can_be_deleted(name)]
        try:
            in_use = sessions.announce([lease_id(name) for name in batch])
            for name in batch:
                if lease_id(name) in in_use:
                    kept.add(name)
                else:
                    remove(os.path.join(root.blobs, name))
                    remove_siblings(os.path.join(root.blobs, name))
        finally:
            sessions.withdraw()
    return kept


def remove_siblings(path: str) -> None:
    """Delete what SQLite has put beside a blob: it would not fit the next file at this path."""
    for ending in blobs.SIBLINGS:
        remove(path + ending)


def _can_be_deleted(name: str) -> bool:
    return blobs.is_name(name) or blobs.is_sibling(name)
