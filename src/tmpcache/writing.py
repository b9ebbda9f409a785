"""Write-through: an object is uploaded, then it is in the cache."""

from __future__ import annotations

import io
import os

from .current import current_deadline
from .errors import ConfigError
from .file import Outcome
from .interruption import let_through
from .store.publish import Arrival

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, BinaryIO

    from .fetching import Fetching
    from .file import CachedFile
    from .objects import ObjectName
    from .store.partials import Partial

_CHUNK = 1024 * 1024


def put(
    fetching: Fetching,
    name: ObjectName,
    source: str | os.PathLike[str] | bytes | BinaryIO,
    *,
    if_match: str | None,
    if_none_match: str | None,
    content_type: str | None,
    request_options: Mapping[str, str] | None,
) -> CachedFile:
    """Copy the source into the cache's own file, upload that, publish it: so all three agree."""
    deadline, origin = current_deadline(), fetching.origin
    options: Any = {"request_options": request_options} if request_options else {}
    if not hasattr(origin, "put"):
        raise ConfigError(f"{name} cannot be put: the origin {origin.name} only gives objects")
    with fetching.store.downloads.partial(name, fetching.patience, None, deadline) as partial:
        partial.rewind()
        _read(source, partial)
        with open(partial.path, "rb") as body:
            etag, version_id, *told = origin.put(
                name.bucket,
                name.key,
                body,
                partial.received,
                if_match=if_match,
                if_none_match=if_none_match,
                content_type=content_type,
                **options,
                deadline=deadline,
            )
        scope = told[0] if told else origin.scope
        arrival = Arrival(partial, name, etag, version_id, fetching.clock(), scope)
        copy, lease = fetching.store.downloads.publish(arrival)
    return fetching.hand_out(name, copy, Outcome.REVALIDATED, lease, counted=False)


def _read(source: str | os.PathLike[str] | bytes | BinaryIO, partial: Partial) -> None:
    if isinstance(source, (bytes, bytearray, memoryview)):
        partial.reserve(len(source))
        partial.write(memoryview(source).cast("B"), 0)
        return
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            _read_file(file, os.fstat(file.fileno()).st_size, partial)
        return
    if not hasattr(source, "read"):
        raise ConfigError(f"{source!r} cannot be put: give a path, bytes or an open binary file")
    _read_file(source, _length(source), partial)


def _read_file(file: BinaryIO, size: int | None, partial: Partial) -> None:
    partial.reserve(size or 0)
    while chunk := file.read(_CHUNK):
        if not isinstance(chunk, bytes):
            raise ConfigError("a text file cannot be put: open it in binary mode")
        partial.write(memoryview(chunk), partial.received)


def _length(file: BinaryIO) -> int | None:
    """What is still to be read of a file, if it can tell."""
    try:
        here = file.tell()
        end = file.seek(0, io.SEEK_END)
        file.seek(here)
    except (AttributeError, OSError) as error:
        let_through(error)
        return None
    return end - here
