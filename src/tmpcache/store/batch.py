"""Many finished downloads published in one transaction, of five statements."""

from __future__ import annotations

from . import blobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .access import Access
    from .index import Index
    from .publish import Answer, Arrival

#: Arrivals in one transaction: nine values each in a statement; SQLite before 3.32 takes 999.
MOST = 64

_BLOBS = "INSERT INTO blobs (id, name, size, allocated, inode, mtime_ns, used_at, boot) VALUES "
_OBJECTS = (
    "INSERT INTO objects (id, bucket, key, version, origin, etag, version_id, received_at, blob) "
    "VALUES "
)
_VALIDATIONS = "INSERT INTO validations (object, scope, validated_at) VALUES "
_LAST_IDS = "SELECT ifnull(max(id), 0), (SELECT ifnull(max(id), 0) FROM objects) FROM blobs"


class _InTheWayError(Exception):
    """There is a row already: of a blob that is damaged, or of an object that was here before."""


class _Item:
    """An arrival, the copy that comes of it, and its lease."""

    def __init__(self, access: Access, arrival: Arrival, scope: str | None) -> None:
        self.arrival, self.partial = arrival, arrival.partial
        self.copy, digest = arrival.as_copy(access, scope)
        self.copy.name = digest + blobs.suffix(self.copy.key)
        self.copy.path = f"{access.root.blobs}/{self.copy.name}"
        self.session, self.slot = access.take(self.copy.lease_id)
        self.allocated = 0

    def move(self) -> None:
        """Make the file a blob."""
        status = self.partial.move(self.copy.path)
        self.copy.inode, self.copy.mtime_ns = status.st_ino, status.st_mtime_ns
        self.allocated = status.st_blocks * 512


def publish_many(
    access: Access, arrivals: Sequence[Arrival], scope: str | None
) -> list[Answer | None]:
    """Make up to :data:`MOST` finished partials the copies of objects, confirmed to `scope`.

    This is for new content of new objects. None stands for what is to be published alone, because
    there is a file of its name, or another arrival has the same bytes. If anything else is in the
    way, above all if there is no room for all of them, an error is raised, and none is published.
    """
    items: list[_Item] = []
    published: list[_Item] | None = None
    try:
        for arrival in arrivals:
            items.append(_Item(access, arrival, scope))
        while published is None:
            published = access.write(lambda index: _commit(index, access, items, scope))
    except BaseException:
        for item in items:
            item.session.give_back(item.slot)
        raise
    answers: list[Answer | None] = []
    for item in items:
        item.partial.published = item in published
        if item.partial.published:
            answers.append((item.copy, item.session, item.slot))
        else:
            item.session.give_back(item.slot)
            answers.append(None)
    return answers


def _commit(
    index: Index, access: Access, items: list[_Item], scope: str | None
) -> list[_Item] | None:
    """Those of the items that are published now; None if more is to be evicted before."""
    new: dict[str, _Item] = {}
    coming, quota = [], access.quota
    for item in items:
        found = blobs.inode(item.copy.path)
        if item.copy.name in new or found not in (0, item.partial.inode):
            continue
        new[item.copy.name] = item
        if not found and item.partial.is_in_memory:
            coming.append(item)
    needed = sum(quota.blocks(item.copy.size) for item in coming)
    if needed and not quota.make_room(index, needed, f"{len(coming)} objects"):
        return None
    for item in coming:
        item.partial.pour()
    for item in new.values():
        item.move()
    published = list(new.values())
    _record(index, access, published, scope)
    return published


def _record(index: Index, access: Access, items: list[_Item], scope: str | None) -> None:
    """Write the rows; ids are counted here, as SQLite would, so that no row is looked up."""
    blob, row = index.one(_LAST_IDS)
    of_blobs, of_objects, of_validations = [], [], []
    for item in items:
        copy, (bucket, key, version, origin) = item.copy, item.arrival.name.parts()
        blob, row = blob + 1, row + 1
        file = item.allocated, copy.inode, copy.mtime_ns, access.clock(), access.boot
        of_blobs.append((blob, copy.name, copy.size, *file))
        of_objects.append(
            (row, bucket, key, version, origin, copy.etag, copy.version_id, copy.validated_at, blob)
        )
        of_validations.append((row, scope, copy.validated_at))
    _insert(index, _BLOBS, of_blobs)
    _insert(index, _OBJECTS, of_objects)
    if scope is not None:
        _insert(index, _VALIDATIONS, of_validations)
    for item in items:
        if item.partial.has_reserved:
            index.run("DELETE FROM partials WHERE name = ?", item.partial.file_name)


def _insert(index: Index, sql: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        places = "(" + ", ".join("?" * len(rows[0])) + ")"
        values = [value for row in rows for value in row]
        sql = f"{sql}{', '.join([places] * len(rows))} ON CONFLICT DO NOTHING"
        if index.run(sql, *values) < len(rows):
            raise _InTheWayError
