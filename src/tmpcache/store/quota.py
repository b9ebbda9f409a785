"""The quota: room is made before the first byte is written, by evicting what was used longest ago.

The ledger (allocated bytes of all blobs), the reservations of downloads under way and the bytes of
everything else under the root add up to at most the quota, in every transaction. So no process
can write a byte that another has not left room for. Counted are blocks, as ``du`` counts them.
"""

from __future__ import annotations

import errno
import os

from ..errors import QuotaExceededError
from . import blobs, repair
from .root import Root, allocated
from .sessions import PAGE, Census, lease_id, session_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .index import Index

#: Blobs evicted in one transaction: bounds what the index's log must have room for.
_BATCH = 64
#: Steps (rooms made, transactions ended) of one process for which a measurement of what is not
#: content is good enough, as long as there is ample room. A transaction adds a few hundred bytes,
#: at most some 100 kB (a page of a listing); an eighth of the smallest quota that this is done for
#: has room for 80 of those.
_TRUST, _TOO_SMALL = 64, 64 * 1024 * 1024
#: What the kernel says when a file cannot grow.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
#: Kept free for directories that grow by a block, and for a few more processes' sessions.
_SLACK = 4 * PAGE


class Quota:
    """How many bytes the root may occupy; every method runs inside a write transaction."""

    def __init__(
        self, root: Root, limits: tuple[int, int], statvfs: Callable[[str], os.statvfs_result]
    ) -> None:
        self._root, self._statvfs = root, statvfs
        self.block = statvfs(root.path).f_frsize
        self.limit(*limits)
        self.evicted = self.evicted_bytes = 0
        self._is_ample = False

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
        fixed = self._root.measured() + session_bytes(self._root.sessions)
        now, most = index.measured()
        self._overhead = fixed + most
        return fixed + now, fixed + most

    def is_ample(self, index: Index, needed: int) -> bool:
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

        Not looked at (10 µs) in the few transactions for which there is ample room.
        """
        self._trust -= 1
        if not (self._is_ample and self._trust >= 0) and index.has_grown():
            self._make_room_for_index(index)

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
        if not on_disk and self.is_ample(index, needed):
            return True
        shortage = self._shortage(index, needed, slack, on_disk)
        if shortage <= 0:
            return True
        with Census(self._root.sessions) as census:
            if repair.bury(index, self._root, census):
                shortage = self._shortage(index, needed, slack, on_disk)
            freed = 0
            while shortage > 0:
                plan = self._plan(index, census, needed, shortage, subject)
                freed += self._evict(index, census, plan[:_BATCH])
                if len(plan) > _BATCH:
                    return False
                shortage = self._shortage(index, needed, slack, on_disk)
            return True

    def room_left(self, index: Index) -> int:
        """Bytes that fit without evicting anything; negative if something has to go already."""
        return -self._shortage(index, 0, _SLACK, False)

    def _make_room_for_index(self, index: Index) -> None:
        """The index has grown by itself; if nothing can be evicted for it, so be it for now."""
        try:
            self.make_room(index, 0, "the index")
        except QuotaExceededError:
            return

    def relieve(self, index: Index, needed: int) -> int:
        """After a write met a full disk: evict at least `needed` bytes, or all that may go."""
        with Census(self._root.sessions) as census:
            buried = repair.bury(index, self._root, census)
            return buried + self._evict(index, census, self._victims(index, census, needed)[0])

    def evict(self, index: Index, victims: list[tuple[int, str, int]]) -> int:
        """Evict those of the blobs (id, name, allocated bytes) that are not in use; bytes freed."""
        with Census(self._root.sessions) as census:
            return self._evict(index, census, victims)

    def leased_bytes(self, index: Index) -> int:
        """Allocated bytes of all blobs in use by any process."""
        with Census(self._root.sessions) as census:
            leased = census.leased()
        every = "SELECT name, allocated FROM blobs UNION ALL SELECT name, allocated FROM staged"
        found = index.rows(every) if leased else []
        return sum(size for name, size in found if lease_id(name) in leased)

    def _shortage(self, index: Index, needed: int, slack: int, on_disk: bool) -> int:
        content, reserved = totals(index)
        over = content + reserved + self.overhead(index)[1] + slack + needed - self.quota
        if not self.min_free and not on_disk:
            return over
        unwritten = sum(
            max(0, int(size) - allocated(os.path.join(self._root.partial, name)))
            for name, size in index.rows("SELECT name, reserved FROM partials")
        )
        return max(over, needed + unwritten + self.min_free - self.disk_free())

    def _victims(
        self, index: Index, census: Census, shortage: int
    ) -> tuple[list[tuple[int, str, int]], int, int]:
        """Blobs to evict, in order; their bytes; and the bytes passed over because in use."""
        leased = census.leased()
        victims, found, in_use = [], 0, 0
        for id, name, size in index.scan(
            "SELECT id, name, allocated FROM blobs ORDER BY superseded DESC, used_at"
        ):
            if lease_id(name) in leased:
                in_use += size
                continue
            victims.append((id, name, size))
            found += size
            if found >= shortage:
                break
        return victims, found, in_use

    def _plan(
        self, index: Index, census: Census, needed: int, shortage: int, subject: object
    ) -> list[tuple[int, str, int]]:
        victims, found, in_use = self._victims(index, census, shortage)
        if found >= shortage:
            return victims
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

    def _evict(self, index: Index, census: Census, victims: list[tuple[int, str, int]]) -> int:
        """Condemn, look at the leases once more, then remove: see sessions for why."""
        paths = {id: os.path.join(self._root.blobs, name) for id, name, _ in victims}
        for path in paths.values():
            blobs.set_mode(path, blobs.CONDEMNED)
        leased, freed = census.leased(), 0
        for id, name, size in victims:
            if lease_id(name) in leased:
                blobs.set_mode(paths[id], blobs.PUBLISHED)
                continue
            blobs.remove(paths[id])
            index.run("DELETE FROM blobs WHERE id = ?", id)
            freed += size
            self.evicted += 1
        self.evicted_bytes += freed
        return freed


def totals(index: Index) -> tuple[int, int]:
    """Allocated bytes of all blobs, and bytes reserved by downloads under way."""
    content, reserved = index.one(
        "SELECT bytes + (SELECT coalesce(sum(allocated), 0) FROM staged), "
        "(SELECT coalesce(sum(reserved), 0) FROM partials) FROM ledger"
    )
    return content, reserved


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
