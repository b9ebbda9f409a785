"""Many finished downloads published in one transaction."""

from __future__ import annotations

from . import blobs
from .staging import merge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .access import Access
    from .index import Index
    from .publish import Answer, Arrival

#: Arrivals in one transaction: bounds what the log must have room for.
MOST = 64


class _Item:
    """An arrival, the copy that comes of it, and its lease."""

    def __init__(self, access: Access, arrival: Arrival) -> None:
        self.arrival, self.partial = arrival, arrival.partial
        self.copy, digest = arrival.as_copy(access)
        self.copy.name = digest + blobs.suffix(self.copy.key)
        self.copy.path = f"{access.root.blobs}/{self.copy.name}"
        self.session, self.slot = access.take(self.copy.lease_id)


def publish_many(access: Access, arrivals: Sequence[Arrival]) -> list[Answer | None]:
    """Make up to :data:`MOST` finished partials the copies of objects.

    None stands for what is to be published alone, because there is a file of its name, or another
    arrival has the same bytes. If there is no room for all of them, an error is raised, and none is
    published.
    """
    items: list[_Item] = []
    published: list[_Item] | None = None
    try:
        for arrival in arrivals:
            items.append(_Item(access, arrival))
        while published is None:
            published = access.write(lambda index: _commit(index, access, items))
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


def _commit(index: Index, access: Access, items: list[_Item]) -> list[_Item] | None:
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
    rows, now = [], access.clock()
    for item in new.values():
        rows.append(item.arrival.row(item.copy, item.partial.move(item.copy.path), now))
        if item.partial.has_reserved:
            index.run("DELETE FROM partials WHERE name = ?", item.partial.file_name)
    merge(index, rows)
    return list(new.values())
