"""The quota: blobs are evicted to make room before the first byte of a download is written.

In every transaction, these add up to at most the quota:

* the ledger, which is the allocated bytes of all blobs;
* the reservations of downloads under way;
* the overhead, which is everything else under the root (:mod:`.disk_usage`).

So no process can write a byte that another has not left room for. Scratch directories do not count.

# Rows

Rows have a price, too. The index may take up an eighth of the quota. Beyond that, rows are trimmed:
the least recently used objects are deleted, whatever room their content takes. When content needs
the room, the pages that eviction has set free are given back to the file system.

# Transactions

Every method that takes an index runs inside a write transaction. Only reports call `overhead` and
`leased_bytes` outside of one: their sums may be a moment old. One transaction evicts a bounded
number of blobs, so that the log has room for it. Hence :meth:`Quota.make_room` may return False:
then the caller commits what was evicted and calls again.
"""

from __future__ import annotations

import errno
import os

from ...config import checked_quota, parse_size
from ...errors import QuotaExceededError
from ..filesystem.files import allocated
from ..index import IndexTooLargeError
from ..leases.session import PAGE
from . import blobs, crash_recovery, eviction
from .checked_values import byte_count, leased_bytes, totals
from .disk_usage import DiskUsage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..index import Index
    from ..root import Root
    from .eviction import Victim, Victims

#: With a quota below this, the overhead is measured in every transaction: an eighth of it would
#: not hold what can come to it between two measurements.
_SMALL_QUOTA = 64 * 1024 * 1024
#: What the kernel says when a file cannot grow.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
#: Bytes kept free for directories that grow by a block, and for a few more processes' sessions.
_SLACK = 4 * PAGE


class Quota:
    """How many bytes a root may occupy, and what is evicted so that it does."""

    def __init__(
        self,
        root: Root,
        quota: int | str | None,
        min_free: int | str,
        statvfs: Callable[[str], os.statvfs_result],
    ) -> None:
        """`min_free` is what to keep free on the file system. Both may be shares of it."""
        self._root, self._sizes, self._statvfs = root, (quota, min_free), statvfs
        #: Whether somebody has set it, so that it is the same in every process.
        self.is_set = quota is not None
        self._usage = usage = DiskUsage(root, statvfs)
        self.disk_free, self.blocks, self.overhead = usage.disk_free, usage.blocks, usage.overhead
        self.set_limits(cached=0)
        #: Blobs that this process has evicted, and their allocated bytes.
        self.evicted = self.evicted_bytes = 0
        #: To be done after this transaction: trim rows; shrink the index.
        self.wants_to_trim_rows = self.wants_shrink = False
        #: Whether no blob was left to evict when room was last short, so that only a smaller index
        #: can help. If room is still short once the index was shrunk, there is none.
        self._only_shrinking_helps = False
        #: What :meth:`is_far_below_quota` last returned; the end of the transaction goes by it.
        self._is_ample = False

    def set_limits(self, cached: int) -> None:
        """Compute the limits in bytes for a file system with `cached` bytes of blobs of ours."""
        quota, min_free = self._sizes
        status = self._statvfs(self._root.path)
        total, free = (status.f_frsize * count for count in (status.f_blocks, status.f_bavail))
        self.quota = checked_quota(quota, total=total, free=free, cached=cached)
        self.min_free = parse_size(min_free, total=total, name="min_free")
        self._usage.forget()

    # ---- how much room there is ---------------------------------------------------------------

    def is_far_below_quota(self, index: Index, needed: int) -> bool:
        """Return whether an eighth of the quota stays free with `needed` bytes more.

        Then the overhead need not be measured: between two measurements far less comes to it. Each
        call counts as a step, after a number of which it is measured in any case. The result is
        kept for :meth:`make_room_for_index`.
        """
        self._is_ample = (
            self._usage.may_skip_measuring()
            and not self.min_free
            and self.quota >= _SMALL_QUOTA
            and sum(totals(index)) + self._usage.max_overhead + needed
            < self.quota - self.quota // 8
        )
        return self._is_ample

    def room_left(self, index: Index) -> int:
        """Return the bytes that fit without eviction; negative if something must be evicted."""
        return -self._shortage(index, 0, _SLACK, False)

    def leased_bytes(self, index: Index) -> int:
        """Return the allocated bytes of all blobs in use by any process."""
        return leased_bytes(index, self._root.live_sessions.leased())

    def _shortage(self, index: Index, needed: int, slack: int, on_disk: bool) -> int:
        """Return the bytes to evict so that `needed` and `slack` fit; not positive if they do."""
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

    # ---- how room is made ---------------------------------------------------------------------

    def make_room(
        self,
        index: Index,
        needed: int,
        subject: object,
        *,
        slack: int = _SLACK,
        on_disk: bool = False,
    ) -> bool:
        """Evict until `needed` more bytes fit; return False if another transaction has to go on.

        Raise :class:`QuotaExceededError` if they cannot fit. Nothing is evicted then, as the
        victims are chosen first. `subject` says what the bytes are for, in that error. With
        `on_disk`, or a `min_free`, the file system must have room for them as well.
        """
        if not on_disk and self.is_far_below_quota(index, needed):
            return True
        if self._shortage(index, needed, slack, on_disk) <= 0:
            return True
        leased = crash_recovery.reclaim(index, self._root)
        shortage = self._shortage(index, needed, slack, on_disk)
        if shortage <= 0:
            return True
        victims = eviction.choose_victims(index, leased, shortage)
        if victims.bytes < shortage and not self._fits_once_shrunk(index, victims, shortage):
            self._only_shrinking_helps = False
            raise self._no_room(index, needed, subject, victims.leased_bytes)
        self._only_shrinking_helps = not victims.blobs
        if self.evict(index, victims.blobs[: index.batch], f"room for {subject}") and (
            self._shortage(index, needed, slack, on_disk) <= 0
        ):
            return True
        self.wants_shrink = True
        return False

    def _fits_once_shrunk(self, index: Index, victims: Victims, shortage: int) -> bool:
        """Return whether a smaller index makes up for what the victims, all there are, lack.

        An index that was shrunk for that already, with no blob evicted since, gets no smaller.
        """
        if self._only_shrinking_helps and not victims.blobs:
            return False
        return victims.bytes + index.size.shrinkable(victims.leased_blobs) >= shortage

    def _no_room(
        self, index: Index, needed: int, subject: object, leased: int
    ) -> QuotaExceededError:
        """Return the error that `needed` bytes do not fit, with the advice for its reason."""
        content, reserved = totals(index)
        overhead, max_overhead = self.overhead(index)
        if needed > self.quota - max_overhead:
            advice = "it is larger than this quota can ever hold: raise quota="
        elif self.disk_free() < needed + self.min_free:
            advice = (
                f"the disk has {_size(self.disk_free())}, {_size(self.min_free)} are to stay free"
            )
        elif leased:
            advice = "release paths that are not needed any more, or raise quota="
        else:
            advice = "wait for the running downloads, or raise quota="
        used = content + reserved + overhead
        return exceeded(subject, advice, needed=needed, quota=self.quota, used=used, leased=leased)

    def free_disk_space(self, index: Index, needed: int) -> int:
        """Evict at least `needed` bytes, or all that is not in use; return the bytes freed.

        Called after a write met a full disk.
        """
        before = sum(totals(index))
        leased = crash_recovery.reclaim(index, self._root)
        victims = eviction.choose_victims(index, leased, needed).blobs
        while victims:
            self.evict(index, victims[: index.batch], "the disk is full")
            victims = victims[index.batch :]
        return before - sum(totals(index))

    def evict(self, index: Index, victims: Sequence[Victim], reason: str) -> int:
        """Evict the victims that are not in use, and count them; return the bytes freed."""
        evicted = eviction.evict(self._root, index, victims)
        freed = sum(size for _, _, size in evicted)
        eviction.note_evicted([name for _, name, _ in evicted], freed, reason)
        self.evicted += len(evicted)
        self.evicted_bytes += freed
        if evicted and index.size.is_loose():
            self.wants_shrink = True
        return freed

    # ---- room for the index itself ------------------------------------------------------------

    def make_room_for_index(self, index: Index) -> None:
        """At the end of a transaction: make room for what the index has grown by.

        This takes 10 µs, so it is left out in some transactions while there is ample room. If the
        index does not fit, whatever is evicted, an error is raised: the transaction has not reached
        the disk yet.
        """
        if self._usage.may_skip_measuring() and self._is_ample:
            return
        self.wants_to_trim_rows = index.size.excess_rows() > 0
        if index.size.has_grown():
            while not self.make_room(index, 0, "the index"):
                if self._only_shrinking_helps:
                    raise IndexTooLargeError("free pages are to be given back first")

    def trim_rows(self, index: Index) -> int:
        """Delete the least recently used objects because the index exceeds its share of the quota.

        Delete as many as go into one transaction, and return their number.
        :meth:`make_room_for_index` sees whether more have to follow.
        """
        oldest = "SELECT id FROM objects ORDER BY used_at LIMIT ?"
        deleted = index.run(f"DELETE FROM objects WHERE id IN ({oldest})", index.batch)
        unused = "SELECT id, name, allocated FROM blobs WHERE superseded LIMIT ?"
        self.evict(index, index.rows(unused, index.batch), "the index has too many rows")
        return deleted


def exceeded(
    subject: object, advice: str, *, needed: int, quota: int, used: int, leased: int
) -> QuotaExceededError:
    """Return the error that there is no room: its numbers, in bytes, and what to do about it."""
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
