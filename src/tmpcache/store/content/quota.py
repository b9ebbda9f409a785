"""The quota: room is made before the first byte is written, by evicting what was used longest ago.

The ledger (allocated bytes of all blobs), the reservations of downloads under way and the bytes of
everything else under the root add up to at most the quota, in every transaction. So no process
can write a byte that another has not left room for. Counted are blocks, as ``du`` counts them.

Rows have a price, too. The index may take up an eighth of the quota: beyond that, objects are
evicted only because of their rows, those used longest ago first, and when content needs the room,
the pages that eviction set free are given back to the file system.
"""

from __future__ import annotations

import errno
import os
import time

from ...errors import QuotaExceededError
from ..filesystem.files import allocated, allocated_in
from ..index.index import DamagedIndexError, IndexTooLargeError
from ..leases.live_sessions import is_session
from ..leases.session import PAGE
from ..root import Root, is_elsewhere
from . import blobs, eviction, reconciliation
from .ledger import byte_count, lease_of, totals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..index.index import Index

    #: Row id, file name and allocated bytes of a blob.
    Victim = tuple[int, str, int]

#: Steps (rooms made, transactions ended) of one process for which a measurement of what is not
#: content is good enough, as long as there is ample room. A transaction adds a few hundred bytes,
#: at most some 100 kB (a page of a listing); an eighth of the smallest quota that this is done for
#: has room for 80 of those.
_TRUST, _TOO_SMALL = 64, 64 * 1024 * 1024
#: What the kernel says when a file cannot grow.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
#: Kept free for directories that grow by a block, and for a few more processes' sessions.
_SLACK = 4 * PAGE
#: How often as long as it took to look for strangers they are taken to be what they were.
_STRANGERS_TRUSTED = 100


class Quota:
    """How many bytes the root may occupy; every method runs inside a write transaction."""

    def __init__(
        self, root: Root, limits: tuple[int, int], statvfs: Callable[[str], os.statvfs_result]
    ) -> None:
        self._root, self._statvfs = root, statvfs
        self.block = statvfs(root.path).f_frsize
        self.limit(*limits)
        self.evicted = self.evicted_bytes = 0
        #: Whether objects are to be evicted for their rows, and whether the index is to be shrunk,
        #: once no transaction is under way.
        self.wants_to_trim_rows = self.wants_shrink = False
        #: Whether all content went before the last shrinking: then nothing more can be done.
        self._has_nothing_left = False
        self._is_ample = False
        self._strangers = 0.0, 0

    def limit(self, quota: int, min_free: int) -> None:
        """Keep to these bytes from now on."""
        self.quota, self.min_free = quota, min_free
        #: What all but content may have come to, and how often that is still good for.
        self._overhead = self._trust = 0

    def disk_free(self) -> int:
        """Bytes that the file system has left."""
        status = self._statvfs(self._root.path)
        return status.f_bavail * status.f_frsize

    def blocks(self, size: int) -> int:
        """Bytes that a file of `size` bytes may occupy: whole blocks, and a map of its extents.

        The map is one block for each 340 extents on ext4; one for each 16 MiB is ample.
        """
        extents = size // (16 * 1024 * 1024)
        return (-(-size // self.block) + extents + (size > 65536)) * self.block

    def overhead(self, index: Index) -> tuple[int, int]:
        """Bytes that all but content occupies now, and may occupy before it is measured again."""
        self._trust = _TRUST
        fixed = self._root.measured() + self._root.session_files.allocated()
        fixed += self._of_strangers()
        now, most = index.size.measured()
        self._overhead = fixed + most
        return fixed + now, fixed + most

    def _of_strangers(self) -> int:
        """Bytes of what others have put under the root, and of other formats."""
        until, found = self._strangers
        began = time.monotonic()
        if began >= until:
            root = self._root
            found = allocated_in(root.blobs, blobs.is_name) + allocated_in(root.path, root.is_ours)
            found += allocated_in(root.partial, blobs.is_partial)
            found += allocated_in(root.sessions, is_session)
            for other in root.other_formats():
                found += allocated_in(other.path, is_elsewhere)
            ended = time.monotonic()
            self._strangers = ended + _STRANGERS_TRUSTED * (ended - began), found
        return found

    def is_far_below_quota(self, index: Index, needed: int) -> bool:
        """Whether an eighth of the quota would stay free: what is measured seldom is far less.

        Measuring costs 15 system calls (40 µs between two requests).
        """
        self._trust -= 1
        self._is_ample = (
            self._trust >= 0
            and not self.min_free
            and self.quota >= _TOO_SMALL
            and sum(totals(index)) + self._overhead + needed < self.quota - self.quota // 8
        )
        return self._is_ample

    def watch(self, index: Index) -> None:
        """At the end of a transaction: make room for the index if it has grown by itself.

        Not looked at (10 µs) in the few transactions for which there is ample room. What does not
        fit, whatever is evicted, is an error: the transaction has not reached the disk yet.
        """
        self._trust -= 1
        if self._is_ample and self._trust >= 0:
            return
        self.wants_to_trim_rows = index.size.excess_rows() > 0
        if index.size.has_grown():
            while not self.make_room(index, 0, "the index"):
                if self._has_nothing_left:
                    raise IndexTooLargeError("free pages are to be given back first")

    def trim_rows(self, index: Index) -> int:
        """Evict the objects used longest ago because the index takes up more than its share.

        As many as go into one transaction: their number. Whether that was enough, :meth:`watch`
        sees.
        """
        oldest = "SELECT id FROM objects ORDER BY used_at LIMIT ?"
        gone = index.run(f"DELETE FROM objects WHERE id IN ({oldest})", index.batch)
        unused = "SELECT id, name, allocated FROM blobs WHERE superseded LIMIT ?"
        self.evict(index, index.rows(unused, index.batch))
        return gone

    def make_room(
        self,
        index: Index,
        needed: int,
        subject: object,
        *,
        slack: int = _SLACK,
        on_disk: bool = False,
    ) -> bool:
        """Evict until `needed` more bytes fit; False if another transaction has to go on.

        Either that or :class:`QuotaExceededError`, and then nothing was evicted: the plan is made
        first. `subject` is what the bytes are for, to be named in the error. With `on_disk`, or a
        `min_free`, what the file system has left counts as well.
        """
        if not on_disk and self.is_far_below_quota(index, needed):
            return True
        shortage = self._missing_bytes(index, needed, slack, on_disk)
        if shortage <= 0:
            return True
        leased = reconciliation.reclaim(index, self._root)
        shortage = self._missing_bytes(index, needed, slack, on_disk)
        if shortage <= 0:
            return True
        plan = self._plan(index, leased, needed, shortage, subject)
        self._has_nothing_left = not plan
        if self.evict(index, plan[: index.batch]) and (
            self._missing_bytes(index, needed, slack, on_disk) <= 0
        ):
            return True
        self.wants_shrink = True
        return False

    def room_left(self, index: Index) -> int:
        """Bytes that fit without evicting anything; negative if something has to go already."""
        return -self._missing_bytes(index, 0, _SLACK, False)

    def free_disk_space(self, index: Index, needed: int) -> int:
        """After a write met a full disk: evict at least `needed` bytes, or all that may go."""
        before = sum(totals(index))
        leased = reconciliation.reclaim(index, self._root)
        victims = self._choose_victims(index, leased, needed)[0]
        while victims:
            self.evict(index, victims[: index.batch])
            victims = victims[index.batch :]
        return before - sum(totals(index))

    def evict(self, index: Index, victims: Sequence[Victim]) -> int:
        """Evict those of the blobs that are not in use; bytes freed."""
        for _, name, size in victims:
            if not isinstance(name, str) or not blobs.is_name(name) or byte_count(size) < 0:
                raise DamagedIndexError(f"{name!r} is not the name of a blob")
        in_use = eviction.unlink(self._root, [name for _, name, _ in victims])
        gone = [victim for victim in victims if victim[1] not in in_use]
        index.run_many("DELETE FROM blobs WHERE id = ?", [(id,) for id, _, _ in gone])
        freed = sum(size for _, _, size in gone)
        self.evicted += len(gone)
        self.evicted_bytes += freed
        if gone and index.size.is_loose():
            self.wants_shrink = True
        return freed

    def leased_bytes(self, index: Index) -> int:
        """Allocated bytes of all blobs in use by any process."""
        leased = self._root.session_files.leased()
        every = "SELECT name, allocated FROM blobs UNION ALL SELECT name, allocated FROM staged"
        found = index.rows(every) if leased else []
        return sum(size for name, size in found if lease_of(name) in leased)

    def _missing_bytes(self, index: Index, needed: int, slack: int, on_disk: bool) -> int:
        content, reserved = totals(index)
        over = content + reserved + self.overhead(index)[1] + slack + needed - self.quota
        if not self.min_free and not on_disk:
            return over
        unwritten = sum(
            max(0, byte_count(size) - allocated(os.path.join(self._root.partial, name)))
            for name, size in index.rows("SELECT name, reserved FROM partials")
            if blobs.is_partial(name)
        )
        return max(over, needed + unwritten + self.min_free - self.disk_free())

    def _choose_victims(
        self, index: Index, leased: set[int], shortage: int
    ) -> tuple[list[Victim], int, int, int]:
        """Blobs to evict, in order; their bytes; and how many of how many bytes are in use."""
        victims, found, held, in_use = [], 0, 0, 0
        for id, name, size in index.scan(
            "SELECT id, name, allocated FROM blobs ORDER BY superseded DESC, used_at"
        ):
            if lease_of(name) in leased:
                held, in_use = held + 1, in_use + byte_count(size)
                continue
            victims.append((id, name, size))
            found += byte_count(size)
            if found >= shortage:
                break
        return victims, found, held, in_use

    def _plan(
        self, index: Index, leased: set[int], needed: int, shortage: int, subject: object
    ) -> list[Victim]:
        victims, found, held, in_use = self._choose_victims(index, leased, shortage)
        if found >= shortage:
            return victims
        if found + index.size.shrinkable(held) >= shortage and (
            victims or not self._has_nothing_left
        ):
            return victims
        self._has_nothing_left = False
        content, reserved = totals(index)
        now, most = self.overhead(index)
        if needed > self.quota - most:
            advice = "it is larger than this quota can ever hold: raise quota="
        elif self.disk_free() < needed + self.min_free:
            advice = (
                f"the disk has {_size(self.disk_free())}, {_size(self.min_free)} are to stay free"
            )
        elif in_use:
            advice = "release paths that are not needed any more, or raise quota="
        else:
            advice = "wait for the running downloads, or raise quota="
        raise exceeded(
            subject,
            advice,
            needed=needed,
            quota=self.quota,
            used=content + reserved + now,
            leased=in_use,
        )


def exceeded(
    subject: object, advice: str, *, needed: int, quota: int, used: int, leased: int
) -> QuotaExceededError:
    """The error with its numbers, all in bytes, and what to do about it."""
    return QuotaExceededError(
        f"no room for {subject}: needed {_size(needed)}, quota {_size(quota)}, used {_size(used)}, "
        f"leased {_size(leased)} (paths still held). What to do: {advice}.",
        needed=needed,
        quota=quota,
        used=used,
        leased=leased,
    )


def _size(count: int) -> str:
    from humanize import naturalsize

    return naturalsize(max(count, 0), binary=True, format="%.1f")
