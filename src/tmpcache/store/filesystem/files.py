"""Files and directories under the root, opened and listed so that nothing strange does harm.

The directory is ours, but programs of the same user put all sorts of things into /tmp, and
cleaners take things away. Everything here is looked at without following links, without waiting
(a FIFO has no writer), and counts only if it is a regular file of this user whose name we could
have given it. Whatever else lies there is left alone.
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from functools import partial

from ...common.interruption import reraise_interrupt
from ...errors import TmpCacheError, UnsafeRootError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


#: Numbers below are those of the standard streams. Where these are closed, whatever prints would
#: write into a file that got one of them.
_FIRST = 3


#: Files that this process may open besides those that are counted out: the index (5), sessions of
#: other processes, connections for parts of large objects, whatever its other threads do.
_LEFT = 24


def spare() -> int:
    """How many files more this process may open, but for some that are left for other needs."""
    import resource

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        opened = len(os.listdir("/dev/fd"))
    except OSError as error:  # not even the directory may be opened
        reraise_interrupt(error)
        return 0
    return sys.maxsize if most == resource.RLIM_INFINITY else max(0, most - opened - _LEFT)


class StrangeFileError(TmpCacheError, FileNotFoundError):
    """What has the name is not a regular file of this user: as good as none."""


class Descriptor:
    """An open file that is closed with this object at the latest.

    It exists before it opens, and no bytecode lies between opening and remembering, nor between
    forgetting and closing: so an exception of a signal handler leaks no descriptor.
    """

    __slots__ = ("__weakref__", "_fds", "fd", "status")

    def __init__(
        self, path: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None
    ) -> None:
        self._fds: list[int] = []
        opened = partial(os.open, flags=flags | _SAFE, mode=mode, dir_fd=dir_fd)
        self._fds.extend(map(opened, (path,)))  # in C, from one end to the other
        if self._fds[0] < _FIRST:
            above = partial(fcntl.fcntl, self._fds[0], fcntl.F_DUPFD_CLOEXEC)
            self._fds.extend(map(above, (_FIRST,)))
            os.close(self._fds.pop(0))
        self.fd = self._fds[0]
        #: What it was when it was opened.
        self.status = os.fstat(self.fd)

    @property
    def is_open(self) -> bool:
        """Whether the descriptor is still this file's."""
        return self._is_ours()

    def is_still(self, path: str) -> bool:
        """Whether the path leads to this very file, and it is open."""
        try:
            return inode(path) == self.status.st_ino and self._is_ours()
        except PermissionError as error:  # of a directory above
            reraise_interrupt(error)
            return False

    def close(self) -> None:
        """Close it; again, if that was done before, does nothing."""
        try:
            if self._fds and hasattr(self, "status") and not self._is_ours():
                self._fds.clear()
            any(map(self._close, iter(self._fds.pop, None)))
        except IndexError:  # none is left
            return
        except OSError as error:
            reraise_interrupt(error)

    #: Modules may be empty already when the interpreter ends and collects what is left.
    _close = staticmethod(os.close)
    _fstat = staticmethod(os.fstat)

    def _is_ours(self) -> bool:
        """Whether the number is still this file's: daemons close all, and others get the number."""
        try:
            now = self._fstat(self.fd)
        except OSError as error:
            reraise_interrupt(error)
            return False
        return (now.st_dev, now.st_ino) == (self.status.st_dev, self.status.st_ino)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_fds"):
            self.close()


def open_file(path: str, flags: int = os.O_RDONLY, *, dir_fd: int | None = None) -> Descriptor:
    """Open a file of ours, created with mode 0600 whatever the umask says, if `flags` ask for that.

    Raises :class:`StrangeFileError`, a ``FileNotFoundError``, if something else has the name.
    """
    try:
        file = Descriptor(path, flags, dir_fd=dir_fd)
    except PermissionError as error:
        raise StrangeFileError(error.errno, "not to be opened by this user", path) from error
    except OSError as error:
        reraise_interrupt(error)
        if isinstance(error, FileNotFoundError) or not _is_strange(path, dir_fd):
            raise
        raise StrangeFileError(error.errno, "not a file of ours", path) from error
    status = file.status
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        file.close()
        raise StrangeFileError(0, "not a file of ours", path)
    if flags & os.O_CREAT and status.st_mode & 0o777 != 0o600 and not status.st_size:
        os.fchmod(file.fd, 0o600)
    return file


#: How often something else under a name of ours is removed before it is given up.
_TRIES = 10


def _is_strange(path: str, dir_fd: int | None) -> bool:
    try:
        return not stat.S_ISREG(os.lstat(path, dir_fd=dir_fd).st_mode)
    except OSError as error:
        reraise_interrupt(error)
        return False


def open_or_create(path: str) -> Descriptor:
    """Open a file of a fixed name for reading and writing; created, if there is none.

    What else has the name is removed, as the name is ours; a directory is refused.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            return open_file(path, os.O_RDWR | os.O_CREAT)
        except StrangeFileError as error:
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                if not tries_left:
                    raise error from None
                continue
            if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
                os.chmod(path, 0o600)  # a mode that not even we may open
                continue
            if stat.S_ISDIR(status.st_mode):
                raise UnsafeRootError(
                    f"{path} is a directory where a file of the cache belongs. Remove it or choose "
                    "another root (root=…, TMPCACHE_ROOT)."
                ) from None
            remove(path)
    raise UnsafeRootError(f"{path} is replaced again and again by somebody else")


def create(path: str) -> int:
    """Like :func:`claim`, but for a file that is there already is not opened; its length in bytes.

    Whoever closes any descriptor of a file drops all locks that SQLite has on it in this process.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return open_or_create(path).status.st_size
    if (
        stat.S_ISREG(status.st_mode)
        and status.st_uid == os.geteuid()
        and status.st_mode & 0o600 == 0o600
    ):
        return status.st_size
    return open_or_create(path).status.st_size


def names(directory: str, is_ours: Callable[[str], object]) -> list[str]:
    """The regular files in a directory whose names are `is_ours`; none if it is not there."""
    try:
        with os.scandir(directory) as entries:
            return [
                entry.name
                for entry in entries
                if is_ours(entry.name) and entry.is_file(follow_symlinks=False)
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []


def allocated(path: str) -> int:
    """Bytes of blocks that a file or directory itself occupies; 0 where there is none."""
    try:
        return os.lstat(path).st_blocks * 512
    except (FileNotFoundError, NotADirectoryError):
        return 0


def allocated_in(directory: str, passed_over: Callable[[str], object]) -> int:
    """Allocated bytes of the entries of a directory, but for names that are `passed_over`.

    Subdirectories, which are strangers, count with all that is in them.
    """
    total = 0
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if passed_over(entry.name):
                    continue
                try:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        total += allocated_in(entry.path, _none)
                except FileNotFoundError:
                    continue
    except OSError as error:  # gone, or not to be looked into
        reraise_interrupt(error)
        return total
    return total


def _none(name: str) -> bool:
    return False


def inode(path: str) -> int:
    """The inode that a path leads to, 0 if none."""
    try:
        return os.lstat(path).st_ino
    except (FileNotFoundError, NotADirectoryError):
        return 0


def remove(path: str) -> None:
    """Delete a file that may be gone already; never a directory."""
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
        return
