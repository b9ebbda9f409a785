"""The form of ``.tmpcache-pack``: a manifest as one line of JSON, then the bodies in its order.

The manifest is that of :meth:`tmpcache.Cache.manifest`, with `at` beside its objects: when the LIST
began from which they were chosen. Each body has the MD5 that is its object's ETag, so whoever reads
the pack can tell whether it is that version's. Objects uploaded in parts, or encrypted with KMS,
have other ETags, and are in no pack.
"""

from __future__ import annotations

import re

from ..listings.document import is_own, moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

_FORMAT = 1
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')


class PackedObject:
    """One object of a pack: its key, the MD5 of its body, and the body's length in bytes."""

    __slots__ = ("key", "md5", "size")

    def __init__(self, key: str, md5: str, size: int) -> None:
        self.key, self.md5, self.size = key, md5, size

    @property
    def etag(self) -> str:
        """The ETag, in quotes as S3 sends it."""
        return f'"{self.md5}"'


def md5_of(etag: str) -> str | None:
    """Return the MD5 that an ETag is; None if it is none.

    >>> md5_of('"9bb58f26192e4ba00f01e2e7b136bbd8"'), md5_of('"9bb58f26192e4ba00f01e2e7b136bbd8-2"')
    ('9bb58f26192e4ba00f01e2e7b136bbd8', None)
    """
    found = _MD5.fullmatch(etag)
    return found and found[1]


def first_line(bucket: str, at: float, packed: Sequence[PackedObject]) -> bytes:
    """Return the manifest of a pack, with the line's end."""
    import json

    objects = [
        {"bucket": bucket, "key": one.key, "etag": one.etag, "size": one.size} for one in packed
    ]
    document = {"tmpcache-manifest": _FORMAT, "at": at, "objects": objects}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def parse(line: bytes) -> tuple[float, list[Any]] | None:
    """Return the time and the objects of a pack's first line; None if it is none."""
    import json

    try:
        found = json.loads(line)
        is_ours, at, objects = found["tmpcache-manifest"] == _FORMAT, found["at"], found["objects"]
        return (moment(at), objects) if is_ours and isinstance(objects, list) else None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def packed_objects(
    objects: Sequence[Any], bucket: str, prefix: str
) -> Iterator[tuple[PackedObject | None, int]]:
    """Yield each object of a manifest and the length of its body.

    None stands for one that a pack of this prefix may not have. After an entry without a length
    nobody knows where the next body begins, so nothing is yielded any more.
    """
    for entry in objects:
        size = entry.get("size") if isinstance(entry, dict) else None
        if type(size) is not int or size < 0:
            return
        key, etag = entry.get("key"), entry.get("etag")
        md5 = md5_of(etag) if isinstance(etag, str) else None
        is_fit = (
            md5 is not None
            and entry.get("bucket") == bucket
            and isinstance(key, str)
            and key.startswith(prefix)
            and not entry.get("version")
            and _is_text(key)
            and not is_own(key)
        )
        yield (PackedObject(key, md5 or "", size) if is_fit and key else None), size


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
