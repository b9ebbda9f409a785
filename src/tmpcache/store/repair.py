"""Setting right what a death left behind: files and rows that do not fit each other.

Runs inside a write transaction, so no living process is between a change of files and its commit.
Which deaths need it, their sessions tell: who changes files says so in its session first.
"""

from __future__ import annotations

import os

from . import blobs
from .root import allocated
from .sessions import lease_id
from .staging import merge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .index import Index
    from .root import Root
    from .sessions import Census


def bury(index: Index, root: Root, census: Census, *, resumable: bool = True) -> int:
    """Remove what dead processes left; the bytes of partials that this gave back.

    With `resumable` false, partials stay that another download could go on with.
    """
    if census.died_changing:
        reconcile(index, root, census.leased())
    freed = _reclaim_partials(index, root, resumable=resumable)
    census.bury()
    return freed


def sweep_scratch(root: Root) -> None:
    """Remove the scratch directories of sessions that are no more."""
    try:
        owners = os.listdir(root.scratch)
    except FileNotFoundError:
        return
    for owner in owners:
        if not os.path.exists(os.path.join(root.sessions, owner)):
            from .trees import remove_tree

            remove_tree(os.path.join(root.scratch, owner))


def reconcile(index: Index, root: Root, leased: set[int]) -> int:
    """Make index and ``blobs/`` agree; the bytes of files that were removed.

    Rows without a file go. So do files without a row, but for leased ones: those are taken into
    the ledger, to be evicted later.
    """
    merge(index)
    found, freed = set(os.listdir(root.blobs)), 0
    known = {name for (name,) in index.rows("SELECT name FROM blobs")}
    index.run_many("DELETE FROM blobs WHERE name = ?", [(name,) for name in known - found])
    for name in found - known:
        path = os.path.join(root.blobs, name)
        size = allocated(path)
        if blobs.is_name(name) and lease_id(name) in leased:
            index.run(
                "INSERT INTO blobs (name, size, allocated, inode, mtime_ns, used_at, superseded, "
                "boot) VALUES (?, 0, ?, 0, 0, 0, 1, '')",
                name,
                size,
            )
        else:
            freed += size
            blobs.remove(path)
    return freed


def adopt(index: Index, root: Root, census: Census) -> None:
    """Account in an index for what is on disk, whatever it knows."""
    reconcile(index, root, census.leased())
    _reclaim_partials(index, root, resumable=True)
    for name in os.listdir(root.partial):  # the living download on
        size = allocated(os.path.join(root.partial, name))
        index.run("INSERT OR REPLACE INTO partials (name, reserved) VALUES (?, ?)", name, size)


def shed(root: Root, census: Census, needed: int) -> None:
    """Remove `needed` bytes of the oldest content, for an index that has no room to be opened.

    Whoever opens it next must :func:`adopt`. The order of steps is the one of every eviction (see
    :mod:`.sessions`).
    """
    leased, found = census.leased(), []
    for name in os.listdir(root.blobs):
        if not (blobs.is_name(name) and lease_id(name) in leased):
            path = os.path.join(root.blobs, name)
            found.append((os.lstat(path).st_mtime_ns, name, path))
    for _, name, path in sorted(found):
        blobs.set_mode(path, blobs.CONDEMNED)
        if blobs.is_name(name) and lease_id(name) in census.leased():
            blobs.set_mode(path, blobs.PUBLISHED)
            continue
        needed -= allocated(path)
        blobs.remove(path)
        if needed <= 0:
            return


def _reclaim_partials(index: Index, root: Root, *, resumable: bool) -> int:
    """Remove partials that nobody has locked, and reservations without a file; bytes given back.

    Those that another download could go on with are spared unless `resumable`.
    """
    rows = {
        name: (reserved, etag)
        for name, reserved, etag in index.rows("SELECT name, reserved, etag FROM partials")
    }
    files, freed = set(os.listdir(root.partial)), 0
    for name in files | rows.keys():
        reserved, etag = rows.get(name, (0, None))
        path, keeps = os.path.join(root.partial, name), 0
        if name in files:
            lives, keeps = _claim_if_dead(path, remove=resumable or not etag)
            if lives:
                continue
        if keeps:  # it grows no more until somebody goes on with it
            index.run("UPDATE partials SET reserved = ? WHERE name = ?", keeps, name)
        else:
            index.run("DELETE FROM partials WHERE name = ?", name)
        freed += reserved - keeps
    return freed


def _claim_if_dead(path: str, *, remove: bool) -> tuple[bool, int]:
    """Whether a partial is locked by a living download; if not, the bytes that stay of it."""
    from filelock import lock_descriptor

    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False, 0
    try:
        if not lock_descriptor(fd, blocking=False):
            return True, 0
        if remove:
            blobs.remove(path)
        return False, allocated(path)
    finally:
        os.close(fd)
