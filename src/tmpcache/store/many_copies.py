"""Many copies at a time: looked up, confirmed and listed in a few statements, not one each."""

from __future__ import annotations

from .store import checked_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from ..common.objects import Copy
    from .index import Index
    from .store import Store

#: Keys in one statement: SQLite before 3.32 takes 999 values, and each key is two of them. A key
#: costs 3 µs, and 12 in a statement of its own.
_BATCH = 490
#: Bytes that the index may grow by for one more object: its rows, and their entries in its indexes.
_ROWS = 1024

_LOOK_UP = """
    SELECT key, name, size, inode, mtime_ns, boot, etag, version_id,
        CASE WHEN scope = ? THEN received_at END
    FROM staged WHERE bucket = ? AND version = '' AND origin = ? AND key IN ({0})
    UNION ALL
    SELECT key, blobs.name, size, inode, mtime_ns, boot, etag, version_id,
        (SELECT validated_at FROM validations WHERE object = objects.id AND scope = ?)
    FROM objects JOIN blobs ON blobs.id = objects.blob
    WHERE bucket = ? AND version = '' AND origin = ? AND key IN ({0})"""
_CONFIRM_AGAIN = (
    "UPDATE validations SET validated_at = ? WHERE scope = ? AND object = (SELECT id FROM objects "
    "WHERE bucket = ? AND key = ? AND version = '' AND origin = ? AND etag = ?)"
)
_BY_USE = """
    SELECT bucket, key, version, etag, size
    FROM objects JOIN blobs ON blobs.id = objects.blob WHERE origin = ?
    ORDER BY objects.used_at DESC, objects.id DESC"""


def look_up_many(
    store: Store,
    origin: str,
    bucket: str,
    keys: Sequence[str],
    scope: str | None,
    *,
    after_writers: bool = False,
) -> dict[str, Copy]:
    """Return the copies of the latest versions that the index knows, by key, files unchecked.

    `after_writers` is explained at :meth:`.store.Store.look_up`.
    """
    read = store.database.read_after_writers if after_writers else store.database.read
    found: dict[str, Copy] = {}
    for start in range(0, len(keys), _BATCH):
        batch = keys[start : start + _BATCH]
        sql = _LOOK_UP.format(", ".join("?" * len(batch)))
        values = (scope, bucket, origin, *batch)
        rows = read(lambda index: _checked(index.rows(sql, *values, *values)))  # noqa: B023
        found.update(
            (key, store.copy_of(scope, (bucket, key, "", origin), *row)) for key, row in rows
        )
    return found


def _checked(rows: list[tuple[Any, ...]]) -> list[tuple[str, tuple[Any, ...]]]:
    return [(row[0], checked_row(row[1:])) for row in rows]


def confirm_again(
    store: Store, origin: str, copies: Iterable[Copy], scope: str, at: float
) -> list[Copy]:
    """Record that the origin listed these copies' ETags to `scope`; return those confirmed by it.

    Only copies that were validated for `scope` before: permission to list is none to read.
    """

    def operation(index: Index) -> list[Copy]:
        return [
            copy
            for copy in copies
            if index.run(_CONFIRM_AGAIN, at, scope, *copy.identity[:2], origin, copy.etag)
        ]

    confirmed = store.database.write(operation)
    return [copy.confirmed(at, at) for copy in confirmed]


def by_use(store: Store, origin: str) -> list[tuple[Any, ...]]:
    """Return bucket, key, version, ETag and size of all objects, last used first."""
    store.flush()
    rows = store.database.read(lambda index: index.rows(_BY_USE, origin))
    return [row for row in rows if [*map(type, row)] == [str, str, str, str, int]]


class FreeSpace:
    """The bytes that fit under the quota (and `min_free`) without evicting anything."""

    def __init__(self, store: Store) -> None:
        quota = store.database.quota
        #: Bytes for content, when this object was made.
        self.bytes = store.database.write(quota.room_left)
        self._blocks = quota.blocks

    def cost(self, size: int) -> int:
        """Return the bytes that one more object of `size` bytes occupies, its rows included."""
        return self._blocks(size) + _ROWS


def touch_in_order(store: Store, copies: Sequence[Copy]) -> None:
    """Record that copies were used just now, the first of them last."""
    now = store.database.clock()
    for number, copy in enumerate(reversed(copies)):
        store.database.unrecorded_uses[copy.identity] = copy, now + number * 1e-6
    store.flush()
