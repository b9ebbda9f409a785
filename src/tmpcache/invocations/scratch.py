"""A private directory for one piece of work, removed when the work ends."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from contextlib import suppress
from pathlib import Path, PosixPath

from ..cached_file import CachedFile, cached_file
from ..common.interruption import reraise_interrupt
from ..errors import ConfigError
from ..store.content.quota import FULL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Self, TypeVar

    from ..store import Store
    from ..store.scratch_directories import Directory

    T = TypeVar("T")

#: What file systems and shells agree on; all else in a key's last part becomes an underscore.
_ODD = re.compile(r"[^\w.,@^+=~() -]")
_LONGEST = 200
#: Why a hard link may not be had although the file could be copied.
NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES}
#: Evictions from a full disk, a blob at a time, for what needs only a directory entry.
_MAX_RETRIES = 64


class Scratch(PosixPath):
    """A directory of mode 0700 under the cache's root, itself a Path; use it with ``with``.

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
            """Derived paths are plain ones."""
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
        """The object in this directory, under its own file name; no second copy of the bytes.

        The file is a hard link to the cached one and read-only. With ``links="copy"`` it is a copy,
        for programs that refuse files with several links, and with `writable` one of mode 0600 that
        may be changed; room for it is reserved. The cached file stays at least until the directory
        goes. `name` overrides the file name: the last part of the key, with what could be dangerous
        replaced, and a number where another object has the name already.

        Raises what :meth:`tmpcache.Cache.fetch` raises.
        """
        copies = are_copies(links)
        if name is not None and not isinstance(name, str):
            raise ConfigError(f"name={name!r} is not a text")
        found = self._fetch(
            *((bucket,) if key is None else (bucket, key)),
            max_age=max_age,
            stale_if_error=stale_if_error,
            version_id=version_id,
        )
        name = file_name(name if name is not None else found.key)
        wanted, store = os.path.join(str(self), on_disk(name)), self._store
        subject, path = f"{found.key} in a scratch directory", None
        if not (copies or writable):
            path = retry_evicting(store, subject, lambda: _link(found, wanted))
        if path is None:
            self.reserve(found.size)
            with store.downloads.explain_full_disk(subject):
                path = _copy(found, wanted, writable)
        file = cached_file(found._copy._replace(path=path), found.outcome, found._lease)
        self._held.append(file)
        return file

    def reserve(self, size: int | str) -> None:
        """Evict until `size` (bytes, or ``"200 MB"``) can be written here.

        Counts against the quota and `min_free` at this moment; nothing keeps others from filling
        the disk later. Raises :class:`~tmpcache.errors.QuotaExceededError` if there is no room.
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

    def remove(self) -> None:
        """Remove the directory now, and release what it held. May be called again."""
        self._directory.remove()
        for file in self._held:
            file.release()
        self._held.clear()

    def __reduce__(self) -> tuple[type[Path], tuple[str]]:
        return PosixPath, (str(self),)


def new_scratch(
    store: Store,
    fetch: Callable[..., CachedFile],
    make_room: Callable[[int | str], object],
) -> Scratch:
    """Make a scratch directory, which fetches and has room made by what is given."""
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
    """The last part of a key as a file name that is safe anywhere.

    >>> file_name("in/a@b.org^123^19.99.jpg"), file_name("../.."), file_name("a/.profile")
    ('a@b.org^123^19.99.jpg', '_', '_profile')
    >>> len(file_name("x" * 300 + ".tar.gz")), file_name("x" * 300 + ".tar.gz")[-8:]
    (200, 'x.tar.gz')
    """
    name = _ODD.sub("_", key.rstrip("/").rpartition("/")[2])
    if name.startswith("."):
        name = "_" + name.lstrip(".")
    encoded = name.encode()
    if len(encoded) > _LONGEST:
        stem, dot, rest = name.partition(".")
        tail = (dot + rest).encode()
        tail = tail if len(tail) <= 40 else b""
        name = stem.encode()[: _LONGEST - len(tail)].decode(errors="ignore") + tail.decode()
    return name or "_"


def on_disk(name: str) -> str:
    """A part of a key as the file name whose bytes are its UTF-8, whatever the locale."""
    return os.fsdecode(name.encode())


def are_copies(links: str) -> bool:
    """What `links` says: hard links, or copies for programs that refuse files with several."""
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
            reraise_interrupt(error)
            if error.errno not in FULL:
                raise
            # What `downloads` imports is needed only where the disk is full.
            with store.downloads.explain_full_disk(subject):
                evicted = quota.evicted
                store.downloads.free_disk_space(1)
                if quota.evicted == evicted or not retries_left:
                    raise
    raise AssertionError("the last call returns or raises")


def _free_names(path: str) -> Any:
    stem, dot, rest = os.path.basename(path).partition(".")
    yield path
    for number in range(1, sys.maxsize):
        yield os.path.join(os.path.dirname(path), f"{stem}-{number}{dot}{rest}")


def _link(found: CachedFile, wanted: str) -> str | None:
    """A hard link to the cached file; None where there can be none."""
    for path in _free_names(wanted):
        try:
            os.link(found, path)
        except FileExistsError:
            if not os.path.samefile(path, found):
                continue
        except OSError as error:
            reraise_interrupt(error)
            if error.errno in NO_LINK:
                return None
            raise
        return str(path)
    return None


def _copy(found: CachedFile, wanted: str, writable: bool) -> str:
    """A copy of the cached file; on file systems that can, one that shares its blocks."""
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
    raise FileExistsError(wanted)


def fill(target: int, found: CachedFile, mode: int) -> None:
    """Make a new, open file a copy of a cached one, and close it."""
    with open(target, "wb") as copy, open(found, "rb") as source:
        if not reflink(source.fileno(), target):
            shutil.copyfileobj(source, copy, 1024 * 1024)
        os.fchmod(target, mode)  # whatever the umask


def reflink(source: int, target: int) -> bool:
    """Have a new file share the blocks of another, where the file system can; else False."""
    import fcntl

    ficlone = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)
    try:
        fcntl.ioctl(target, ficlone, source)
    except OSError as error:
        reraise_interrupt(error)
        return False
    return True
