"""Uploads an object and publishes the same bytes as its copy (write-through).

The source is first copied into a partial file of the cache, and that is uploaded. So the object in
S3, the copy and the recorded ETag agree whatever happens to the source meanwhile.
"""

from __future__ import annotations

import io
import os

from ..cached_file import Outcome
from ..common.interruption import reraise_from_handler
from ..errors import ConfigError, TmpCacheError
from ..invocations.context import current_deadline
from ..store.downloads.publish import Arrival

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, BinaryIO

    from ..cached_file import CachedFile
    from ..common.deadline import Deadline
    from ..common.objects import ObjectName
    from ..store.downloads.partial_file import Partial
    from .fetcher import Fetcher

_CHUNK = 1024 * 1024
#: Linux's PATH_MAX; no path is longer.
_PATH_MAX = 4096


def put(
    fetcher: Fetcher,
    name: ObjectName,
    source: str | os.PathLike[str] | bytes | BinaryIO,
    *,
    if_match: str | None,
    if_none_match: str | None,
    content_type: str | None,
    request_options: Mapping[str, str] | None,
) -> CachedFile:
    """See :meth:`tmpcache.Cache.put`."""
    deadline, origin = current_deadline(), fetcher.origin
    options: Any = {"request_options": request_options} if request_options else {}
    if not hasattr(origin, "put"):
        raise ConfigError(f"{name} cannot be put: the origin {origin.name} only gives objects")
    with fetcher.store.downloads.locked_partial(
        name, fetcher.lock_timeout, None, deadline
    ) as partial:
        partial.rewind()
        _read(source, _SourceWriter(partial, fetcher))
        # Opened by descriptor: a cleaner of /tmp that deletes the path does not change the upload.
        with open(partial.fd, "rb", closefd=False) as body:
            body.seek(0)
            etag, version_id, *scopes = origin.put(
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
        scope = scopes[0] if scopes else origin.scope
        arrival = Arrival(partial, name, etag, version_id, fetcher.clock(), scope)
        try:
            copy, lease = fetcher.store.downloads.publish(arrival)
        except (OSError, TmpCacheError) as error:
            reraise_from_handler(error)
            lost: Exception | None = error
        else:
            lost = None
    if lost is not None:
        return _fetched_instead(fetcher, name, etag, lost, deadline)
    return fetcher.respond(name, copy, Outcome.REVALIDATED, lease, counted=False)


def _fetched_instead(
    fetcher: Fetcher, name: ObjectName, etag: str, lost: Exception, deadline: Deadline | None
) -> CachedFile:
    """Fetch the object from S3, after the copy of the upload could not be published (`lost`)."""
    try:
        return fetcher.fetch_from_origin(name, None, 0, 0, deadline)
    except (OSError, TmpCacheError) as error:
        reraise_from_handler(error)
        raise TmpCacheError(
            f"{name} was uploaded (ETag {etag}), but this cache could not keep a copy ({lost}), "
            f"nor fetch one ({error}). The object is in place: fetch it later."
        ) from error


class _SourceWriter:
    """Writes the source into a partial file; makes room for it."""

    def __init__(self, partial: Partial, fetcher: Fetcher) -> None:
        self._partial, self._retry_unloading = partial, fetcher.retry_unloading

    def expect(self, size: int) -> None:
        """Make room for `size` bytes."""
        self._retry_unloading(self._partial.reserve, size)

    def write(self, data: memoryview) -> None:
        """Append `data`."""
        self._retry_unloading(self._partial.write, data, self._partial.received)


def _read(source: str | os.PathLike[str] | bytes | BinaryIO, writer: _SourceWriter) -> None:
    """Read the whole source into the partial file, or raise `ConfigError` if it is no source."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = memoryview(source).cast("B") if len(source) else memoryview(b"")
        writer.expect(len(data))
        writer.write(data)
        return
    if isinstance(source, (str, os.PathLike)):
        with _opened(source) as file:
            _read_file(file, os.fstat(file.fileno()).st_size, writer)
        return
    if not callable(getattr(source, "read", None)):
        raise ConfigError(f"{source!r} cannot be put: give a path, bytes or an open binary file")
    _read_file(source, _length(source), writer)


def _opened(path: str | os.PathLike[str]) -> BinaryIO:
    """Open the caller's file. Raise what ``open`` raises, `ConfigError` for what is no path."""
    try:
        return open(path, "rb")
    except (OSError, ValueError, TypeError) as error:
        reraise_from_handler(error)
        if isinstance(error, OSError) and not (isinstance(path, str) and _is_content(path)):
            raise
        raise ConfigError(
            f"source={path!r} is taken for the path of a file, and it is none: to put a text, "
            "encode it: source=text.encode()"
        ) from error


def _is_content(text: str) -> bool:
    """Return whether a text that is no file's path was probably meant as the content."""
    return not text or text.lstrip()[:1] in '{[<"' or "\n" in text or len(text) > _PATH_MAX


def _read_file(file: BinaryIO, size: int | None, writer: _SourceWriter) -> None:
    """Read a file to its end; `size` is what is left of it, None if that is not known."""
    writer.expect(size or 0)
    while chunk := file.read(_CHUNK):
        if not isinstance(chunk, bytes):
            raise ConfigError("a text file cannot be put: open it in binary mode")
        writer.write(memoryview(chunk))


def _length(file: BinaryIO) -> int | None:
    """Return the bytes that are still to be read of a file, None if it cannot say."""
    try:
        position = file.tell()
        end = file.seek(0, io.SEEK_END)
        file.seek(position)
    except (AttributeError, OSError) as error:
        reraise_from_handler(error)
        return None
    return end - position
