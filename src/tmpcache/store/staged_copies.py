"""New copies are staged: recorded as one row each, and merged into the tables later.

A new copy belongs into three tables with their indexes: eight pages to write. While there is ample
room it is *staged* instead: one row in one small table, one or two pages, a third of the time
(45 µs instead of 120, with the cold CPU caches of a real fetch). From then on it is a copy like any
other: look-ups find it, the ledger counts it.

A transaction that does more than look up, stage or confirm (evict, list) merges first. So does the
publication before which the overhead has to be measured again, after some tens of steps of the
process (:mod:`.content.disk_usage`). So each process has staged at most some tens of rows, in two
or three pages.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .index import Index

#: Stages nothing if the tables know the object: its staged row must be the only one.
_STAGE = """
    INSERT INTO staged SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
    WHERE NOT EXISTS (SELECT 1 FROM objects
        WHERE bucket = ? AND key = ? AND version = ? AND origin = ?)
    ON CONFLICT DO NOTHING"""
_STAGE_ANY = "INSERT INTO staged VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

_MERGE = (
    """INSERT INTO blobs (name, size, allocated, inode, mtime_ns, used_at, boot)
        SELECT name, size, allocated, inode, mtime_ns, used_at, boot FROM staged WHERE true
        ON CONFLICT (name) DO UPDATE SET size = excluded.size, allocated = excluded.allocated,
            inode = excluded.inode, mtime_ns = excluded.mtime_ns, used_at = excluded.used_at,
            boot = excluded.boot""",
    # What a later response said is not overwritten: the process that staged this row may have been
    # frozen. A response from the future is no later one: a clock was wrong.
    """INSERT INTO objects
            (bucket, key, version, origin, etag, version_id, received_at, used_at, blob)
        SELECT bucket, key, version, origin, etag, version_id, received_at, used_at,
            (SELECT id FROM blobs WHERE blobs.name = staged.name)
        FROM staged WHERE true
        ON CONFLICT (bucket, key, version, origin) DO UPDATE SET etag = excluded.etag,
            version_id = excluded.version_id, received_at = excluded.received_at,
            used_at = excluded.used_at, blob = excluded.blob
        WHERE NOT excluded.received_at < objects.received_at
            OR objects.received_at > (SELECT max(used_at) FROM staged)""",
    """INSERT OR REPLACE INTO validations
        SELECT id, scope, staged.received_at
        FROM staged JOIN objects USING (bucket, key, version, origin)
        WHERE scope IS NOT NULL AND objects.etag = staged.etag""",
    """UPDATE blobs SET superseded = 1
        WHERE name IN (SELECT name FROM staged)
            AND NOT EXISTS (SELECT 1 FROM objects WHERE blob = blobs.id)""",
    "DELETE FROM staged",
)


def stage(index: Index, row: Sequence[Any]) -> bool:
    """Stage a copy, given in the columns of ``staged``; return False if its object is known."""
    return index.run(_STAGE, *row, *row[:4]) > 0


def is_waiting(index: Index) -> bool:
    """Return whether any copy is staged."""
    return bool(index.rows("SELECT 1 FROM staged LIMIT 1"))


def merge(index: Index, rows: Sequence[tuple[Any, ...]] = ()) -> None:
    """Merge what is staged into the tables, then `rows`, at most one for each object."""
    if is_waiting(index):
        _merge(index)
    if rows:
        index.run_many(_STAGE_ANY, rows)
        _merge(index)


def _merge(index: Index) -> None:
    for statement in _MERGE:
        index.run(statement)
