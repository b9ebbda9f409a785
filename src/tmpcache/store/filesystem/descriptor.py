"""An open file or directory, which no interrupt leaves open."""

from __future__ import annotations

import fcntl
import os
from functools import partial

from ...common.handler_exceptions import reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

#: Descriptors below this are those of the standard streams. If these are closed, a file of ours may
#: get one of the numbers, and whatever prints would write into it.
_FIRST = 3


class ClosedDescriptor:
    """What is left of a :class:`Descriptor` that was closed. It has no finalizer."""

    __slots__ = ("__weakref__", "_fds", "fd", "status")

    _fds: list[int]
    fd: int
    #: The file's status when it was opened.
    status: os.stat_result

    @property
    def is_open(self) -> bool:
        """Whether the descriptor still belongs to this file."""
        return False

    def is_still(self, path: str) -> bool:
        """Return whether the path leads to this very file, and the file is open."""
        return False

    def close(self) -> None:
        """Do nothing: the file is closed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Descriptor(ClosedDescriptor):
    """An open file that is closed with this object at the latest.

    An interrupt leaks no descriptor: this object exists before the file is opened, and no bytecode
    lies between opening a descriptor and storing it, nor between dropping and closing it.

    Python drops what a signal handler raises in a finalizer. So this object loses its own when the
    file is closed.
    """

    __slots__ = ()

    def __init__(
        self, path: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None
    ) -> None:
        self._fds = []
        try:
            self._open(path, flags | _SAFE, mode, dir_fd)
        except OSError:
            self.close()
            raise

    def _open(self, path: str, flags: int, mode: int, dir_fd: int | None) -> None:
        opened = partial(os.open, flags=flags, mode=mode, dir_fd=dir_fd)
        self._fds.extend(map(opened, (path,)))  # opens and stores in one call, all in C
        if self._fds[0] < _FIRST:
            above = partial(fcntl.fcntl, self._fds[0], fcntl.F_DUPFD_CLOEXEC)
            self._fds.extend(map(above, (_FIRST,)))
            os.close(self._fds.pop(0))
        self.fd = self._fds[0]
        self.status = os.fstat(self.fd)

    @property
    def is_open(self) -> bool:
        """Whether the descriptor still belongs to this file."""
        return self._is_ours()

    def is_still(self, path: str) -> bool:
        """Return whether the path leads to this very file, and the file is open."""
        try:
            return inode(path) == self.status.st_ino and self._is_ours()
        except PermissionError as error:  # on a directory above it
            reraise_from_handler(error)
            return False

    def close(self) -> None:
        """Close the file. May be called again."""
        self._close_all()
        if not self._fds:
            self.__class__ = ClosedDescriptor  # type: ignore[assignment]

    def _close_all(self) -> None:
        try:
            if self._fds and hasattr(self, "status") and not self._is_ours():
                self._fds.clear()
            any(map(self._close, iter(self._fds.pop, None)))
        except IndexError:  # none is left
            return
        except OSError as error:
            reraise_from_handler(error)

    #: Kept here, as modules may be empty already when the interpreter ends and collects objects.
    _close = staticmethod(os.close)
    _fstat = staticmethod(os.fstat)

    def _is_ours(self) -> bool:
        """Return whether the descriptor still belongs to this file.

        A program that becomes a daemon closes all descriptors, and other files get their numbers.
        """
        try:
            now = self._fstat(self.fd)
        except OSError as error:
            reraise_from_handler(error)
            return False
        return (now.st_dev, now.st_ino) == (self.status.st_dev, self.status.st_ino)

    def __del__(self) -> None:
        if hasattr(self, "_fds"):
            self._close_all()


def inode(path: str) -> int:
    """Return the inode at a path, 0 if there is none."""
    try:
        return os.lstat(path).st_ino
    except (FileNotFoundError, NotADirectoryError):
        return 0
