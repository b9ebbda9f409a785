"""Setting right what a death left behind: files and rows that do not fit each other.

Runs inside a write transaction, so no living process is between a change of files and its commit.
Whether a change was left unfinished, ``changes`` tells (:mod:`.changes`).
"""

from __future__ import annotations

import os

from ..filesystem.files import allocated, names, open_file, remove
from ..index.index import DamagedIndexError
from ..index.staging import merge
from ..leases.file_lock import try_lock
from ..leases.session import lease_id
from . import blobs, eviction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..index.index import Index
    from ..root import Root


def reclaim(index: Index, root: Root, *, resumable: bool = True) -> set[int]:
    """Remove what dead processes left; the leases of the living.

    With `resumable` false, partials stay that another download could go on with.
    """
    sessions = root.session_files
    leased = sessions.leased()
    _reclaim_partials(index, root, resumable=resumable)
    sessions.remove_dead()
    return leased


def reconcile(index: Index, root: Root) -> int:
    """Make index and ``blobs/`` agree; the bytes of files that were removed.

    Rows without a file go. So do files without a row, but for leased ones: those are taken into
    the ledger, to be evicted later.
    """
    merge(index)
    found = set(names(root.blobs, blobs.is_name))
    known = {name for (name,) in index.rows("SELECT name FROM blobs")}
    index.run_many("DELETE FROM blobs WHERE name = ?", [(name,) for name in known - found])
    lost = {name: allocated(os.path.join(root.blobs, name)) for name in found - known}
    in_use = eviction.unlink(root, [*lost])
    for name in in_use:
        index.run(
            "INSERT INTO blobs (name, size, allocated, inode, mtime_ns, used_at, superseded, boot) "
            "VALUES (?, 0, ?, 0, 0, 0, 1, '')",
            name,
            lost[name],
        )
    eviction.unlink(root, names(root.blobs, blobs.is_sibling))
    return sum(size for name, size in lost.items() if name not in in_use)


def rebuild(index: Index, root: Root, blocks: Callable[[int], int]) -> None:
    """Account in an index for what is on disk, whatever it knows.

    A partial is as long as what its download has reserved, or no block of it is written yet.
    """
    reconcile(index, root)
    _reclaim_partials(index, root, resumable=True)
    for name in names(root.partial, blobs.is_partial):  # the living download on
        try:
            status = os.lstat(os.path.join(root.partial, name))
        except FileNotFoundError:
            continue
        size = max(blocks(status.st_size), status.st_blocks * 512)
        index.run("INSERT OR REPLACE INTO partials (name, reserved) VALUES (?, ?)", name, size)


def evict_without_index(root: Root, needed: int) -> None:
    """Remove `needed` bytes of the oldest content, for an index that has no room to be opened.

    Whoever does this leaves a change unfinished, so that the next one compares files and rows.
    """
    leased, found = root.session_files.leased(), []
    for name in names(root.blobs, blobs.is_name):
        if lease_id(name) not in leased:
            try:
                status = os.lstat(os.path.join(root.blobs, name))
            except FileNotFoundError:
                continue
            found.append((status.st_mtime_ns, name, status.st_blocks * 512))
    oldest = []
    for _, name, size in sorted(found):
        oldest.append(name)
        needed -= size
        if needed <= 0:
            break
    eviction.unlink(root, oldest)


def _reclaim_partials(index: Index, root: Root, *, resumable: bool) -> None:
    """Remove partials that nobody has locked, and reservations without a file.

    Those that another download could go on with are spared unless `resumable`.
    """
    rows = dict(index.rows("SELECT name, etag FROM partials"))
    for name in rows:
        if not isinstance(name, str) or not blobs.is_partial(name):
            raise DamagedIndexError(f"{name!r} is not the name of a partial")
    for name in {*names(root.partial, blobs.is_partial), *rows}:
        path = os.path.join(root.partial, name)
        lives, keeps = _claim_if_dead(path, remove_it=resumable or not rows.get(name))
        if lives:
            continue
        if keeps:  # it grows no more until somebody goes on with it
            index.run("UPDATE partials SET reserved = ? WHERE name = ?", keeps, name)
        else:
            index.run("DELETE FROM partials WHERE name = ?", name)


def _claim_if_dead(path: str, *, remove_it: bool) -> tuple[bool, int]:
    """Whether a partial is locked by a living download; if not, the bytes that stay of it."""
    try:
        file = open_file(path)
    except FileNotFoundError:
        return False, 0
    try:
        if not try_lock(file.fd):
            return True, 0
        if remove_it:
            remove(path)
        return False, allocated(path)
    finally:
        file.close()
