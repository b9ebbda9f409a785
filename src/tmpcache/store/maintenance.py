"""List, measure, verify and clean the store as a whole."""

from __future__ import annotations

import os
from pathlib import Path

from ..common.subscriptions import delivering
from ..config import parse_size
from ..reports import Entry, RootStats, Usage, Verification
from . import scratch_directories, statistics
from .content import blobs, crash_recovery
from .content.blobs import is_name
from .content.checked_values import lease_of, totals
from .damage import problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .index import Index
    from .store import Store

_BATCH = 1000


def entries(store: Store) -> Iterator[Entry]:
    """Yield every object that the index knows; may miss those that come and go meanwhile."""
    store.flush()
    last = 0
    while rows := store.database.read(
        lambda index: index.rows(
            "SELECT objects.id, bucket, key, version, version_id, etag, size, allocated, name, "
            "objects.used_at, "
            "(SELECT max(validated_at) FROM validations WHERE object = objects.id) "
            "FROM objects JOIN blobs ON blobs.id = objects.blob WHERE objects.id > ? "
            "ORDER BY objects.id LIMIT ?",
            last,  # noqa: B023
            _BATCH,
        )
    ):
        for row in rows:
            if _is_entry(row):
                yield _entry(store, row)
        last = rows[-1][0]


def _is_entry(row: tuple[Any, ...]) -> bool:
    """Return whether a row has the types that are recorded: anybody may have written to it."""
    numbers, texts = (row[0], *row[6:8]), (*row[1:4], row[5], row[8])
    return {*map(type, numbers)} == {int} and {*map(type, texts)} == {str} and is_name(row[8])


def _entry(store: Store, row: tuple[Any, ...]) -> Entry:
    _, bucket, key, version, version_id, etag, size, allocated, name, used_at, validated_at = row
    return Entry(
        bucket=bucket,
        key=key,
        pinned_version=version or None,
        version_id=version_id,
        etag=etag,
        size=size,
        allocated=allocated,
        digest=name[:32],
        path=Path(store.database.root.blobs, name),
        validated_at=validated_at,
        used_at=used_at,
    )


@delivering
def usage(store: Store) -> Usage:
    """Return how many bytes are used, and for what."""
    database = store.database

    def operation(index: Index) -> Usage:
        quota = database.quota
        content, reserved = totals(index)
        overhead = quota.overhead(index)[0]
        staged = index.one("SELECT count(*) FROM staged")[0]
        return Usage(
            quota=quota.quota,
            used=content + reserved + overhead,
            objects=staged + index.one("SELECT count(*) FROM objects")[0],
            blobs=staged + index.one("SELECT blobs FROM ledger")[0],
            blob_bytes=content,
            reserved=reserved,
            leased=quota.leased_bytes(index),
            overhead=overhead,
            min_free=quota.min_free,
            disk_free=quota.disk_free(),
        )

    return database.read(operation)


def root_stats(store: Store) -> RootStats:
    """Return what all processes have counted; this one's share up to now."""
    if store.database.statistics.has_news:
        store.flush()
    since, counters = store.database.read(statistics.read)
    return RootStats(since, **dict(zip(statistics.COUNTERS, counters, strict=True)))


@delivering
def verify(store: Store) -> Verification:
    """Read and hash every blob; discard the damaged ones."""
    store.flush()
    database, damaged, count, size = store.database, [], 0, 0
    database.root.restore()
    for name, *expected in database.read(_fingerprints):
        path = os.path.join(database.root.blobs, name)
        lease = store.lease(lease_of(name))
        try:
            reason = problem(path, tuple(expected))
            if reason is None and blobs.digest_of(path) != name[:32]:
                reason = "corrupt"
        except FileNotFoundError:
            reason = "missing"
        lease.release()
        count, size = count + 1, size + expected[1]
        if reason is not None and store.discard(name, reason):
            damaged.append((name[:32], reason))
    return Verification(blobs=count, bytes=size, damaged=tuple(damaged))


def _fingerprints(index: Index) -> list[tuple[Any, ...]]:
    """Return the names and fingerprints of the blobs that copies refer to.

    A blob with inode 0 was discarded, and is only kept until its leases end.
    """
    rows = index.rows("SELECT name, inode, size, mtime_ns FROM blobs WHERE inode <> 0")
    for name, *_ in rows:
        lease_of(name)
    return rows


def has_copies(store: Store, bucket: str) -> bool:
    """Return whether the index has an object of the bucket."""
    return store.database.write(
        lambda index: bool(index.rows("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", bucket))
    )


def evict(
    store: Store, bucket: str, key: str | None, version: str | None, prefix: str | None = None
) -> int:
    """Evict one object, or all of a bucket or below a prefix; return the bytes freed."""
    where, values = "bucket = ?", [bucket]
    for column, value in (("key", key), ("version", version)):
        if value is not None:
            where, values = f"{where} AND {column} = ?", [*values, value]
    if prefix is not None:
        where, values = f"{where} AND instr(key, ?) = 1", [*values, prefix]
    return _evict_where(store, where, *values)


def evict_unused(store: Store, before: float) -> int:
    """Evict the objects that were last used before a time; return the bytes freed."""
    return _evict_where(store, "objects.used_at < ?", before)


@delivering
def _evict_where(store: Store, where: str, *values: object) -> int:
    """Evict the objects for which an SQL condition holds; return the bytes freed."""
    freed, is_left = 0, True

    def operation(index: Index) -> tuple[int, bool]:
        affected = index.rows(
            "SELECT objects.id, blobs.id, name, allocated FROM objects "
            f"JOIN blobs ON blobs.id = objects.blob WHERE {where} LIMIT ?",
            *(*values, index.batch),
        )
        index.run_many("DELETE FROM objects WHERE id = ?", [row[:1] for row in affected])
        superseded = "SELECT 1 FROM blobs WHERE id = ? AND superseded"
        blobs_of_them = dict.fromkeys(row[1:] for row in affected)
        unused = [blob for blob in blobs_of_them if index.rows(superseded, blob[0])]
        freed = store.database.quota.evict(index, unused, "evict() was called")
        return freed, len(affected) == index.batch

    while is_left:
        bytes_, is_left = store.database.write(operation)
        freed += bytes_
    return freed


@delivering
def make_room(store: Store, size: int | str, *, on_disk: bool = False) -> int:
    """Evict until `size` (bytes, or ``"200 MB"``) more fit under the quota; return bytes freed.

    With `on_disk`, they must fit on the file system as well.
    """
    before, done = store.database.quota.evicted_bytes, False
    needed = parse_size(size, total=store.database.quota.quota, name="size")
    while not done:
        done = store.database.write(
            lambda index: store.database.quota.make_room(
                index, needed, "what is to be written", on_disk=on_disk
            )
        )
    return store.database.quota.evicted_bytes - before


@delivering
def gc(store: Store) -> int:
    """Remove what no live process uses; return the bytes freed.

    That is what dead processes left, partial files that could be resumed among it, files that the
    index does not know, and superseded copies.
    """
    database, root = store.database, store.database.root

    def operation(index: Index) -> int:
        before = sum(totals(index))
        crash_recovery.reclaim(index, root)
        freed = crash_recovery.reconcile(index, root)
        unused = index.rows("SELECT id, name, allocated FROM blobs WHERE superseded")
        database.quota.evict(index, unused, "superseded")
        return freed + before - sum(totals(index))

    freed = database.write(operation)
    scratch_directories.sweep(root)
    return freed


@delivering
def clear(store: Store) -> int:
    """Forget every object and remove all blobs that nobody leases; return the bytes freed."""
    before = store.database.read(totals)[0]
    store.database.clear()
    return before - store.database.read(totals)[0]
