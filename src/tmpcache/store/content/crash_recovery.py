"""Crash recovery: what dead processes left is reclaimed, and index and files are made to agree.

* :func:`reclaim` removes session files and partials of dead processes, and their reservations.
* :func:`reconcile` compares ``blobs/`` with the index, after a transaction changed files and did
  not commit. :mod:`..changes` tells that.
* :func:`rebuild` makes a new index, or one whose last change was not committed when the process
  died, agree with the files: a blob that has no row and no lease is removed, and so is every
  partial that nobody has locked.

All run inside a write transaction, so no live process has changed files and not committed yet.
"""

from __future__ import annotations

import os

from ..filesystem.files import allocated, names, open_file, remove
from ..index import DamagedIndexError
from ..leases.file_lock import try_lock
from ..staged_copies import merge
from . import blobs, eviction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..index import Index
    from ..root import Root


def reclaim(index: Index, root: Root, *, keep_resumable: bool = False) -> set[int]:
    """Remove what dead processes left; return the lease ids of all blobs in use.

    With `keep_resumable`, partials stay that another download can resume. Without it, all that
    nobody has locked go, however few bytes are needed.

    The lease ids are returned because a caller that makes room evicts next.
    """
    sessions = root.live_sessions
    leased = sessions.leased()
    partials = _reclaim_partials(index, root, keep_resumable=keep_resumable)
    if (dead := sessions.remove_dead()) or partials:
        from ...common.events import note

        note("Swept", sessions=dead, partials=partials)
    return leased


def reconcile(index: Index, root: Root) -> int:
    """Make the index and ``blobs/`` agree; return the bytes of the files that were removed.

    Rows without a file are deleted, and so are files without a row. Leased ones are recorded
    instead, as superseded blobs that eviction removes later.
    """
    merge(index)
    found = set(names(root.blobs, blobs.is_name))
    known = {name for (name,) in index.rows("SELECT name FROM blobs")}
    index.run_many("DELETE FROM blobs WHERE name = ?", [(name,) for name in known - found])
    unknown = {name: allocated(os.path.join(root.blobs, name)) for name in found - known}
    in_use = eviction.unlink(root, [*unknown])
    for name in in_use:
        index.run(
            "INSERT INTO blobs (name, size, allocated, inode, mtime_ns, used_at, superseded, boot) "
            "VALUES (?, 0, ?, 0, 0, 0, 1, '')",
            name,
            unknown[name],
        )
    eviction.unlink(root, names(root.blobs, blobs.is_sibling))
    return sum(size for name, size in unknown.items() if name not in in_use)


def rebuild(index: Index, root: Root, blocks: Callable[[int], int]) -> None:
    """Record in an index what is on disk, whatever the index says.

    Reconcile, and remove all partials that nobody has locked, also those that could be resumed. In
    a new index, which has no rows, only what is leased or locked is left after that.

    `blocks` is :meth:`.Quota.blocks`. The reservation of a download under way is read off its
    partial, which is given the length that was reserved before its first byte is written.
    """
    reconcile(index, root)
    _reclaim_partials(index, root, keep_resumable=False)
    for name in names(root.partial, blobs.is_partial):  # those of live downloads
        try:
            status = os.lstat(os.path.join(root.partial, name))
        except FileNotFoundError:
            continue
        size = max(blocks(status.st_size), status.st_blocks * 512)
        index.run("INSERT OR REPLACE INTO partials (name, reserved) VALUES (?, ?)", name, size)


def _reclaim_partials(index: Index, root: Root, *, keep_resumable: bool) -> int:
    """Remove partials that no download has locked, and reservations without a file.

    Return how many of either were removed.
    """
    etags = dict(index.rows("SELECT name, etag FROM partials"))
    for name in etags:
        if not isinstance(name, str) or not blobs.is_partial(name):
            raise DamagedIndexError(f"{name!r} is not the name of a partial")
    removed = 0
    for name in {*names(root.partial, blobs.is_partial), *etags}:
        is_resumable = bool(etags.get(name))
        path = os.path.join(root.partial, name)
        remove_it = not (keep_resumable and is_resumable)
        left = _reclaim_partial(path, remove_it=remove_it)
        if left is None:
            continue
        removed += remove_it
        if left:  # no more than that is needed until another download resumes it
            index.run("UPDATE partials SET reserved = ? WHERE name = ?", left, name)
        else:
            index.run("DELETE FROM partials WHERE name = ?", name)
    return removed


def _reclaim_partial(path: str, *, remove_it: bool) -> int | None:
    """Return the bytes that a partial goes on to occupy; None if a live download has locked it."""
    try:
        file = open_file(path)
    except FileNotFoundError:
        return 0
    try:
        if not try_lock(file.fd):
            return None
        if remove_it:
            remove(path)
        return allocated(path)
    finally:
        file.close()
