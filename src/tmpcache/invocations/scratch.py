"""A private directory for one piece of work, removed when the work ends.

Objects come into it as hard links to their blobs, or as copies. Its files do not count against the
quota, except at the moment when room is made for them.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from contextlib import suppress
from itertools import chain, count
from pathlib import Path, PosixPath

from ..cached_file import CachedFile, PathOfPlainPaths, cached_file
from ..common.handler_exceptions import reraise_from_handler
from ..errors import ConfigError, QuotaExceededError
from ..store.content.quota import FULL
from ..store.filesystem.copies import fill

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Any, Self, TypeVar

    from ..store import Store
    from ..store.scratch_directories import Directory

    T = TypeVar("T")

#: All other characters than those that file systems and shells agree on become an underscore.
_ODD = re.compile(r"[^\w.,@^+=~() -]")
_MAX_BYTES = 200
#: Errors of `link` after which the file can still be copied.
NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES}
#: Evictions from a full disk, a blob at a time, for what needs only a directory entry.
_MAX_RETRIES = 64


class Scratch(PathOfPlainPaths):
    """A directory of mode 0700 under the cache's root, itself a Path.

    Use it with ``with``, in a coroutine with ``async with``.

    At the end of ``with`` it is removed with all in it, whatever that is. If the process dies
    first, another process removes it. Paths derived from it are plain Paths.

    >>> with tmpcache.scratch() as work:                                    # doctest: +SKIP
    ...     image = work.fetch("incoming", "c.jpg")
    ...     work.reserve("200 MB")
    ...     convert(image, work / "small.jpg")
    """

    __slots__ = ("__weakref__", "_directory", "_fetch", "_held", "_make_room", "_store")

    _fetch: Callable[..., CachedFile]
    _make_room: Callable[[int | str], object]
    _store: Store
    _directory: Directory
    _held: list[CachedFile]

    if sys.version_info >= (3, 12):

        def with_segments(self, *segments: Any) -> Path:
            """Make derived paths plain ones."""
            return PosixPath(*segments)

    else:
        _from_parts = PosixPath._from_parts  # type: ignore[attr-defined]
        _from_parsed_parts = PosixPath._from_parsed_parts  # type: ignore[attr-defined]

    def fetch(
        self,
        bucket: str,
        key: str | None = None,
        *,
        name: str | None = None,
        writable: bool = False,
        links: str = "hard",
        max_age: float | None = None,
        stale_if_error: float | None = None,
        version_id: str | None = None,
    ) -> CachedFile:
        """Fetch an object into this directory, under its own file name, and return its path.

        The file is a read-only hard link to the cached one. With ``links="copy"`` it is a copy, for
        programs that refuse files with several links. With `writable` it is a copy of mode 0600
        that may be changed. Room is made for copies. The cached file stays at least until the
        directory is removed. `name` overrides the file name. That is the key after its last ``/``,
        with dangerous characters replaced, and with a number if another object has the name.

        Raises what :meth:`tmpcache.Cache.fetch` raises.
        """
        copies = are_copies(links)
        if name is not None and not isinstance(name, str):
            raise ConfigError(f"name={name!r} is not a text")
        cached = self._fetch(
            *((bucket,) if key is None else (bucket, key)),
            max_age=max_age,
            stale_if_error=stale_if_error,
            version_id=version_id,
        )
        name = file_name(name if name is not None else cached.key)
        wanted, store = os.path.join(str(self), on_disk(name)), self._store
        subject, path = f"{cached.key} in a scratch directory", None
        if not (copies or writable):
            path = retry_evicting(store, subject, lambda: _link(cached, wanted))
        if path is None:
            self.reserve(cached.size)
            with store.downloads.explain_full_disk(subject):
                path = _copy(cached, wanted, writable)
        file = cached_file(cached._copy._replace(path=path), cached.outcome, cached._lease)
        self._held.append(file)
        return file

    def reserve(self, size: int | str) -> None:
        """Evict until `size` (bytes, or ``"200 MB"``) can be written here.

        Counts against the quota and `min_free` at this moment. Other programs may still fill the
        disk later. Raises :class:`~tmpcache.errors.QuotaExceededError` if there is no room.
        """
        self._make_room(size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        from asyncio import get_running_loop, shield

        # In a thread, as a large tree takes a while; to its end, also when the task is cancelled.
        await shield(get_running_loop().run_in_executor(None, self.remove))

    def remove(self) -> None:
        """Remove the directory now, and release the leases it holds. May be called again."""
        self._directory.remove()
        for file in self._held:
            file.release()
        self._held.clear()

    def __reduce__(self) -> tuple[type[Path], tuple[str]]:
        return PosixPath, (str(self),)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"


def new_scratch(
    store: Store,
    fetch: Callable[..., CachedFile],
    make_room: Callable[[int | str], object],
) -> Scratch:
    """Make a scratch directory. It uses `fetch` and `make_room` for its methods."""
    directory = retry_evicting(store, "a scratch directory", store.scratch_directory)
    if sys.version_info >= (3, 12):
        scratch = Scratch(directory.path)
    else:
        plain = PosixPath(directory.path)
        scratch = object.__new__(Scratch)
        scratch._drv, scratch._root, scratch._parts = plain._drv, plain._root, plain._parts  # type: ignore
    scratch._store, scratch._directory, scratch._held = store, directory, []
    scratch._fetch, scratch._make_room = fetch, make_room
    return scratch


def file_name(key: str) -> str:
    """Return what follows the last ``/`` of a key as a file name that is safe anywhere.

    >>> file_name("in/a@b.org^123^19.99.jpg"), file_name("../.."), file_name("a/.profile")
    ('a@b.org^123^19.99.jpg', '_', '_profile')
    >>> len(file_name("x" * 300 + ".tar.gz")), file_name("x" * 300 + ".tar.gz")[-8:]
    (200, 'x.tar.gz')
    """
    name = _ODD.sub("_", key.rstrip("/").rpartition("/")[2])
    if name.startswith("."):
        name = "_" + name.lstrip(".")
    encoded = name.encode()
    if len(encoded) > _MAX_BYTES:
        stem, dot, rest = name.partition(".")
        tail = (dot + rest).encode()
        tail = tail if len(tail) <= 40 else b""
        name = stem.encode()[: _MAX_BYTES - len(tail)].decode(errors="ignore") + tail.decode()
    return name or "_"


def on_disk(name: str) -> str:
    """Return the file name whose bytes are the UTF-8 of `name`, whatever the locale."""
    return os.fsdecode(name.encode())


def are_copies(links: str) -> bool:
    """Return whether `links` asks for copies rather than hard links."""
    if links not in ("hard", "copy"):
        raise ConfigError(f"links={links!r} is neither 'hard' nor 'copy'")
    return links == "copy"


def retry_evicting(store: Store, subject: str, call: Callable[[], T]) -> T:
    """Return what `call` returns; while the disk is full, or has no inodes, evict and call again.

    Raises :class:`~tmpcache.errors.QuotaExceededError` if nothing is left to evict.
    """
    quota = store.database.quota
    for retries_left in reversed(range(_MAX_RETRIES + 1)):
        try:
            return call()
        except OSError as error:
            reraise_from_handler(error)
            if error.errno not in FULL or isinstance(error, QuotaExceededError):
                raise
            # What `downloads` imports is needed only where the disk is full.
            with store.downloads.explain_full_disk(subject):
                evicted = quota.evicted
                store.downloads.free_disk_space(1)
                if quota.evicted == evicted or not retries_left:
                    raise
    raise AssertionError("the last call returns or raises")


def _free_names(path: str) -> Iterator[str]:
    """Yield the path, then numbered variants of it.

    No generator: one that is not read to its end is finalized, and Python drops what a signal
    handler raises in there.
    """
    directory, name = os.path.split(path)
    stem, dot, rest = name.partition(".")

    def numbered(number: int) -> str:
        return os.path.join(directory, f"{stem}-{number}{dot}{rest}")

    return chain((path,), map(numbered, count(1)))


def _link(found: CachedFile, wanted: str) -> str | None:
    """Link the cached file at `wanted` or a free name near it; None if it cannot be linked."""
    for path in _free_names(wanted):
        try:
            os.link(found, path)
        except FileExistsError:
            if not os.path.samefile(path, found):
                continue
        except OSError as error:
            reraise_from_handler(error)
            if error.errno in NO_LINK:
                return None
            raise
        return str(path)
    return None


def _copy(found: CachedFile, wanted: str, writable: bool) -> str:
    """Copy the cached file to `wanted` or a free name near it; return the path."""
    for path in _free_names(wanted):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            target = os.open(path, flags, 0o600)
        except FileExistsError:
            continue
        try:
            fill(target, found, 0o600 if writable else 0o444)
        except BaseException:
            with suppress(OSError):
                os.unlink(path)
            raise
        return str(path)
    raise AssertionError("there is always another name")
