"""Files under the root: opened, listed, measured and removed.

The root belongs to this user alone, but other programs of the same user may put anything into it,
and cleaners of /tmp may delete anything. So every function here expects both:

* A path is opened without following a symbolic link, and without waiting: opening a FIFO would wait
  for its writer.
* A file counts as ours if it is a regular file of this user and its name is one that this program
  gives. All else is a *foreign file*: it is left alone; under ``index.sqlite`` or ``changes`` it is
  removed.
* A file may have been deleted: measuring it gives 0, and removing it is no error.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from itertools import chain

from ...common.handler_exceptions import reraise_from_handler
from ...errors import TmpCacheError, UnsafeRootError
from .descriptor import Descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: How many times a foreign file under a fixed name of ours is removed, before giving up.
_ATTEMPTS = 10


#: Descriptors kept for other needs: the index (5), sessions of other processes, connections for
#: byte ranges of large objects, other threads of the program.
_KEPT_DESCRIPTORS = 24


def spare_descriptors(kept: int = _KEPT_DESCRIPTORS) -> int:
    """Return how many more files this process may open, less those `kept` for other needs."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        opened = len(os.listdir("/dev/fd"))
    except OSError as error:  # not even the directory may be opened
        reraise_from_handler(error)
        return 0
    return sys.maxsize if limit == resource.RLIM_INFINITY else max(0, limit - opened - kept)


class ForeignFileError(TmpCacheError, FileNotFoundError):
    """A foreign file has the name: not a regular file of this user, so none of ours is there."""


def open_file(path: str, flags: int = os.O_RDONLY, *, dir_fd: int | None = None) -> Descriptor:
    """Open a file of ours. With ``O_CREAT``, create it with mode 0600, whatever the umask says.

    Raise :class:`ForeignFileError`, a ``FileNotFoundError``, if a foreign file has the name.
    """
    try:
        file = Descriptor(path, flags, dir_fd=dir_fd)
    except PermissionError as error:
        raise ForeignFileError(error.errno, "not to be opened by this user", path) from error
    except OSError as error:
        reraise_from_handler(error)
        if isinstance(error, FileNotFoundError) or not _is_foreign(path, dir_fd):
            raise
        raise ForeignFileError(error.errno, "not a file of ours", path) from error
    status = file.status
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        file.close()
        raise ForeignFileError(0, "not a file of ours", path)
    if flags & os.O_CREAT and status.st_mode & 0o777 != 0o600 and not status.st_size:
        os.fchmod(file.fd, 0o600)
    return file


def _is_foreign(path: str, dir_fd: int | None) -> bool:
    try:
        return not stat.S_ISREG(os.lstat(path, dir_fd=dir_fd).st_mode)
    except OSError as error:
        reraise_from_handler(error)
        return False


def open_or_create(path: str) -> Descriptor:
    """Open a file of a fixed name for reading and writing; create it if there is none.

    A foreign file is removed first, as the name is ours. A directory is not: raise
    :class:`UnsafeRootError`.
    """
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            return open_file(path, os.O_RDWR | os.O_CREAT)
        except ForeignFileError as error:
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                if not attempts_left:
                    raise error from None
                continue
            if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
                os.chmod(path, 0o600)  # its mode kept even its owner from opening it
                continue
            if stat.S_ISDIR(status.st_mode):
                raise UnsafeRootError(
                    f"{path} is a directory where a file of the cache belongs. Remove it or choose "
                    "another root (root=…, TMPCACHE_ROOT)."
                ) from None
            remove(path)
    raise UnsafeRootError(f"{path} is replaced again and again by somebody else")


def create(path: str) -> int:
    """Create a file of a fixed name if there is none; return its length in bytes.

    An existing file is not opened: closing any of its descriptors would drop all locks that SQLite
    holds on it in this process.
    """
    try:
        status = os.lstat(path)
        is_open_to_us = status.st_uid == os.geteuid() and status.st_mode & 0o600 == 0o600
        if stat.S_ISREG(status.st_mode) and is_open_to_us:
            return status.st_size
    except FileNotFoundError:
        pass
    with open_or_create(path) as file:
        return file.status.st_size


def names(directory: str, is_ours: Callable[[str], object]) -> list[str]:
    """Return the regular files in a directory whose names are `is_ours`; none without one."""
    try:
        entries = _entries(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [e.name for e in entries if is_ours(e.name) and e.is_file(follow_symlinks=False)]


def allocated(path: str) -> int:
    """Return the bytes of blocks that a file, or a directory itself, occupies; 0 if it is gone."""
    try:
        return os.lstat(path).st_blocks * 512
    except (FileNotFoundError, NotADirectoryError):
        return 0


def allocated_in(directory: str, is_excluded: Callable[[str], object]) -> int:
    """Return the allocated bytes of the entries of a directory that `is_excluded` does not accept.

    Subdirectories count with all that is in them.
    """
    total = 0
    try:
        entries = _entries(directory)
    except OSError as error:  # it is gone, or may not be read
        reraise_from_handler(error)
        return 0
    for entry in entries:
        if is_excluded(entry.name):
            continue
        try:
            total += entry.stat(follow_symlinks=False).st_blocks * 512
            if entry.is_dir(follow_symlinks=False):
                total += allocated_in(entry.path, _exclude_nothing)
        except OSError as error:
            reraise_from_handler(error)
    return total


def _entries(directory: str) -> list[os.DirEntry[str]]:
    """Open, read and close a directory in one call, all in C: no interrupt leaves it open."""
    return list(chain.from_iterable(map(os.scandir, (directory,))))


def _exclude_nothing(name: str) -> bool:
    return False


def remove(path: str) -> None:
    """Delete a file that may be gone already. A directory, or a file that resists, stays."""
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
        return
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
