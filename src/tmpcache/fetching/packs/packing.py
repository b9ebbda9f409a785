"""Packs the objects below a prefix into one, the hottest first, and puts that beside them."""

from __future__ import annotations

from hashlib import md5

from ...cached_file import CachedFile
from ...common.objects import ObjectName
from ...config import parse_size
from ..listings.document import PACK
from ..listings.writing import list_prefix, put_own
from ..many.fetch_many import fetch_many
from .document import PackedObject, first_line, md5_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from ...invocations.scratch import Scratch
    from ...origin import Listed
    from ..fetcher import Fetcher
    from ..many.fetch_many import Progress
    from ..many.warm import Manifest

#: Objects fetched, and leased, at a time.
_BATCH = 64
_CHUNK = 1024 * 1024


def put_pack(
    fetcher: Fetcher,
    work: Scratch,
    bucket: str,
    prefix: str,
    max_bytes: int | str,
    manifest: Manifest | None,
    progress: Progress | None,
) -> CachedFile:
    """See :meth:`tmpcache.Cache.put_pack`; the pack is written in `work`."""
    limit = parse_size(max_bytes, total=fetcher.store.database.quota.quota, name="max_bytes")
    name = ObjectName(fetcher.origin.name, bucket, prefix + PACK)
    ranked = _ranked(fetcher, bucket, manifest)
    at, found = list_prefix(fetcher, name, prefix)
    chosen = [*_chosen(found, ranked, limit, only_ranked=manifest is not None)]
    work.reserve(sum(one.size for one in chosen))
    with open(work / "bodies", "w+b") as bodies:
        packed = [*_pack(fetcher, bucket, [one.key for one in chosen], bodies, progress)]
        bodies.seek(0)
        with open(work / "pack", "wb") as pack:
            pack.write(first_line(bucket, at, packed))
            for chunk in iter(lambda: bodies.read(_CHUNK), b""):
                pack.write(chunk)
    return put_own(fetcher, name, str(work / "pack"), "application/octet-stream")


def _ranked(fetcher: Fetcher, bucket: str, manifest: Manifest | None) -> dict[str, int]:
    """Return the rank of each key that is in the manifest, or in this cache, hottest first."""
    if manifest is not None:
        from ..many.warm import named_objects

        names = named_objects(manifest, fetcher.origin.name)
        keys = [name.key for name in names if name.bucket == bucket and not name.version]
    else:
        from ...store.many_copies import by_use

        rows = by_use(fetcher.store, fetcher.origin.name)
        keys = [key for found, key, version, *_ in rows if found == bucket and not version]
    return {key: rank for rank, key in enumerate(keys)}


def _chosen(
    found: list[Listed], ranked: dict[str, int], limit: int, *, only_ranked: bool
) -> Iterator[Listed]:
    """Yield the objects that fit into `limit` bytes and whose ETag is an MD5, by rank."""
    for one in sorted(found, key=lambda one: (ranked.get(one.key, len(ranked)), one.key)):
        is_wanted = one.key in ranked or not only_ranked
        if is_wanted and md5_of(one.etag) and one.size <= limit:
            limit -= one.size
            yield one


def _pack(
    fetcher: Fetcher,
    bucket: str,
    keys: list[str],
    bodies: BinaryIO,
    progress: Progress | None,
) -> Iterator[PackedObject]:
    """Append the bodies of objects whose MD5 is their ETag; yield these objects.

    An object that cannot be fetched is left out.
    """
    for start in range(0, len(keys), _BATCH):
        some = keys[start : start + _BATCH]
        paths = fetch_many(fetcher, bucket, some, 0, 0, None, True, None)
        for done, (key, path) in enumerate(zip(some, paths, strict=True), start + 1):
            if isinstance(path, CachedFile):
                hashed = md5_of(path.etag or "")
                if hashed and _append(path, hashed, bodies):
                    yield PackedObject(key, hashed, path.size)
                path.release()
            if progress is not None:
                progress(done, len(keys), bodies.tell())


def _append(path: CachedFile, expected: str, bodies: BinaryIO) -> bool:
    """Append a file if it has the MD5 expected."""
    start, hashed = bodies.tell(), md5(usedforsecurity=False)
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(_CHUNK), b""):
            hashed.update(chunk)
            bodies.write(chunk)
    if hashed.hexdigest() == expected:
        return True
    bodies.seek(start)
    bodies.truncate()
    return False
