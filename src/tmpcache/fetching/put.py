"""Uploads an object and publishes the same bytes as its copy (write-through).

The source is copied into a partial file of the cache, and that is uploaded. So the object in S3,
the copy and the recorded ETag agree whatever happens to the source meanwhile. The parts of a large
file are copied one by one: the thread that sends a part copies it first.
"""

from __future__ import annotations

import io
import os
from contextlib import contextmanager

from ..cached_file import Outcome
from ..common.growing_file import GrowingFile
from ..common.handler_exceptions import reraise_from_handler
from ..common.subscriptions import delivering
from ..errors import ConfigError, TmpCacheError
from ..invocations.context import current_deadline
from ..store.downloads.publish import Arrival

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, BinaryIO

    from ..cached_file import CachedFile
    from ..common.deadline import Deadline
    from ..common.objects import ObjectName
    from ..store.downloads.partial_file import Partial
    from .fetcher import Fetcher

_CHUNK = 1024 * 1024
#: Bytes from which on a file is copied while it is uploaded. Smaller ones go in one request.
_LARGE = 16 * 1024 * 1024
#: Linux's PATH_MAX; no path is longer.
_PATH_MAX = 4096


@delivering
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
        with _body(source, partial, fetcher) as (body, size):
            etag, version_id, *scopes = origin.put(
                name.bucket,
                name.key,
                body,
                size,
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


@contextmanager
def _body(
    source: str | os.PathLike[str] | bytes | BinaryIO, partial: Partial, fetcher: Fetcher
) -> Iterator[tuple[BinaryIO, int]]:
    """Yield the partial file and how many bytes of the source are in it, or will be."""
    writer = _SourceWriter(partial, fetcher)
    if isinstance(source, (str, os.PathLike)):
        with _opened(source) as file:
            size = os.fstat(file.fileno()).st_size
            if size > _LARGE:
                writer.expect(size)
                yield from _copied_meanwhile(file, size, writer, partial)
                return
            _read_file(file, size, writer)
    else:
        _read(source, writer)
    # Opened by descriptor: a cleaner of /tmp that deletes the path does not change the upload.
    with open(partial.fd, "rb", closefd=False) as body:
        body.seek(0)
        yield body, partial.received


def _copied_meanwhile(
    file: BinaryIO, size: int, writer: _SourceWriter, partial: Partial
) -> Iterator[tuple[BinaryIO, int]]:
    """Yield the partial file, into which a file is copied as far as it is read."""

    def copy_to(end: int) -> None:
        try:
            while partial.received < end:
                if not (chunk := file.read(min(_CHUNK, size - partial.received))):
                    raise _cut(file, partial.received, size)
                writer.write(memoryview(chunk))
        except OSError as error:
            reraise_from_handler(error)
            raise _SourceError(error) from None  # no cause: it is raised again, without a circle

    try:
        with GrowingFile(partial.fd, size, copy_to) as body:
            body.seek(0)
            yield body, size
            body.grow_to(size)
    except _SourceError as error:
        raise error.args[0] from None


class _SourceError(Exception):
    """The source cannot be read, or not be copied: no failure of the origin's, whose call it ends.

    Its argument says why.
    """


def _cut(file: BinaryIO, at: int, size: int) -> ConfigError:
    return ConfigError(
        f"{file.name} had {size} bytes when its upload began, and ended after {at}: put it again "
        "when nobody writes to it. Nothing was stored."
    )


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


def _read(source: bytes | BinaryIO, writer: _SourceWriter) -> None:
    """Read the whole source into the partial file, or raise `ConfigError` if it is no source."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = memoryview(source).cast("B") if len(source) else memoryview(b"")
        writer.expect(len(data))
        writer.write(data)
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
