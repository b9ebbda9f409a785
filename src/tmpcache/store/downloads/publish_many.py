"""Publish many finished downloads in one transaction."""

from __future__ import annotations

from ...common.handler_exceptions import reraise_from_handler
from ...errors import TmpCacheError
from ..content import blobs
from ..filesystem.descriptor import inode
from ..leases.lease import lease_id
from ..staged_copies import merge
from .publish import row_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...common.objects import Copy
    from ..database.database import Database
    from ..index import Index
    from .publish import Arrival, Published

#: Arrivals that one call publishes. It takes several transactions if the log has room for fewer
#: rows (:attr:`..index.Index.batch`).
MOST = 64


class _Item:
    """An arrival, the lease of its blob, and the copy once it is published."""

    def __init__(self, database: Database, arrival: Arrival) -> None:
        self.arrival, self.partial = arrival, arrival.partial
        digest = arrival.finish()
        self.name = digest + blobs.suffix(arrival.name.key)
        self.path = f"{database.root.blobs}/{self.name}"
        self.lease = database.lease(lease_id(digest))
        self.copy: Copy | None = None


def publish_many(database: Database, arrivals: Sequence[Arrival]) -> list[Published | None]:
    """Publish up to :data:`MOST` finished downloads.

    None stands for one to be published alone, because a file has its name already, or another
    arrival has the same bytes, or the transaction failed.
    """
    items = [_Item(database, arrival) for arrival in arrivals]
    rest, published = list(items), []
    while rest:
        try:
            count = database.write(lambda index: _publish(index, database, rest))  # noqa: B023
        except (TmpCacheError, OSError) as error:  # alone, the one that fails gets the error
            reraise_from_handler(error)
            break
        for item in rest[:count]:
            item.partial.published = item.copy is not None
            published.append(None if item.copy is None else (item.copy, item.lease))
        rest = rest[count:]
    for item in rest:  # a file that was renamed stays leased until it is published alone
        item.partial.lease = item.lease
    return published + [None] * len(rest)


def _publish(index: Index, database: Database, items: list[_Item]) -> int:
    """Publish as many items as one transaction may; return how many it dealt with."""
    new: dict[str, tuple[_Item, bool]] = {}
    quota, batch = database.quota, items[: index.batch]
    for item in batch:
        item.copy = None  # the operation may run twice
        found = inode(item.path)
        if item.name not in new and found in (0, item.partial.inode):
            new[item.name] = item, not found and item.partial.is_in_memory
    unwritten = [item.partial for item, is_unwritten in new.values() if is_unwritten]
    needed = sum(quota.blocks(partial.received) for partial in unwritten)
    if needed and not quota.make_room(index, needed, f"{len(new)} objects"):
        return 0
    rows, now = [], database.clock()
    for item, is_unwritten in new.values():
        if is_unwritten:
            item.partial.pour()
        status = item.partial.move(item.path)
        item.copy = item.arrival.as_copy(database, item.name, status)
        rows.append(row_of(item.copy, status, now))
        if item.partial.has_reserved:
            index.run("DELETE FROM partials WHERE name = ?", item.partial.file_name)
    merge(index, rows)
    return len(batch)
