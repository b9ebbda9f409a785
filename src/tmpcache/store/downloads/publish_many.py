"""Many finished downloads published in one transaction."""

from __future__ import annotations

from ...common.interruption import reraise_interrupt
from ...errors import TmpCacheError
from ..content import blobs
from ..filesystem.files import inode
from ..index.staging import merge
from ..leases.session import lease_id
from .publish import row_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...common.objects import Copy
    from ..database import Database
    from ..index.index import Index
    from .publish import Arrival, Published

#: Arrivals that are published together. How many of them one transaction takes, so that the log
#: has room for it, the index says (:attr:`.index.Index.batch`).
MOST = 64


class _Item:
    """An arrival, the lease of what comes of it, and the copy, once it is published."""

    def __init__(self, database: Database, arrival: Arrival) -> None:
        self.arrival, self.partial = arrival, arrival.partial
        digest = arrival.finish()
        self.name = digest + blobs.suffix(arrival.name.key)
        self.path = f"{database.root.blobs}/{self.name}"
        self.lease = database.lease(lease_id(digest))
        self.copy: Copy | None = None


def publish_many(database: Database, arrivals: Sequence[Arrival]) -> list[Published | None]:
    """Make up to :data:`MOST` finished partials the copies of objects.

    None stands for what is to be published alone, because there is a file of its name, or another
    arrival has the same bytes, or they could not be published together.
    """
    items = [_Item(database, arrival) for arrival in arrivals]
    rest, answers = list(items), []
    while rest:
        try:
            count = database.write(lambda index: _commit(index, database, rest))  # noqa: B023
        except (TmpCacheError, OSError) as error:  # one failed; which, and why, it will say alone
            reraise_interrupt(error)
            break
        for item in rest[:count]:
            item.partial.published = item.copy is not None
            answers.append(None if item.copy is None else (item.copy, item.lease))
        rest = rest[count:]
    for item in rest:  # what has been moved stays until it is published alone
        item.partial.lease = item.lease
    return answers + [None] * len(rest)


def _commit(index: Index, database: Database, items: list[_Item]) -> int:
    """Publish as many of the items as go into one transaction; how many were looked at."""
    new: dict[str, tuple[_Item, bool]] = {}
    quota, looked_at = database.quota, items[: index.batch]
    for item in looked_at:
        item.copy = None  # if this is done once more
        found = inode(item.path)
        if item.name not in new and found in (0, item.partial.inode):
            new[item.name] = item, not found and item.partial.is_in_memory
    needed = sum(quota.blocks(item.partial.received) for item, comes in new.values() if comes)
    if needed and not quota.make_room(index, needed, f"{len(new)} objects"):
        return 0
    rows, now = [], database.clock()
    for item, comes in new.values():
        if comes:
            item.partial.pour()
        status = item.partial.move(item.path)
        item.copy = item.arrival.as_copy(database, item.name, status)
        rows.append(row_of(item.copy, status, now))
        if item.partial.has_reserved:
            index.run("DELETE FROM partials WHERE name = ?", item.partial.file_name)
    merge(index, rows)
    return len(looked_at)
