"""Scratch directories on disk: each belongs to one process and is removed after it at the latest.

A process has a *home*, ``scratch/<random>``, and its scratch directories are in that. It holds a
shared lock (``flock``) on its home as long as any of them is in use. A home that another process
can lock exclusively is not in use any more, and is removed.
"""

from __future__ import annotations

import fcntl
import os
from weakref import ref

from ..common.forking import reset_in_children
from ..common.handler_exceptions import reraise_from_handler
from ..errors import UnsafeRootError
from .filesystem.descriptor import DIRECTORY, Descriptor
from .filesystem.remove_tree import remove_tree
from .leases.file_lock import try_lock
from .leases.live_sessions import is_session
from .root import denied, is_denied, make_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .root import Root

#: How many times a directory is created that somebody deletes at once.
_ATTEMPTS = 100


class Home:
    """The directory of this process that holds its scratch directories, locked."""

    def __init__(self, root: Root) -> None:
        make_private(root.scratch)
        self.path = os.path.join(root.scratch, os.urandom(8).hex())
        make_private(self.path)
        self._lock: Descriptor | None = Descriptor(self.path, DIRECTORY)
        if not try_lock(self._lock.fd, fcntl.LOCK_SH) or not self._lock.is_still(self.path):
            raise FileNotFoundError(self.path)  # another process swept it before it was locked
        reset_in_children(self)

    def forked(self) -> None:
        """In a forked child: close the lock, so that the parent alone holds it."""
        self.close()
        self._lock = None

    def close(self) -> None:
        """Close the lock, after the directory was removed."""
        if self._lock is not None:
            self._lock.close()

    @property
    def is_usable(self) -> bool:
        """Whether this process can create more directories in it."""
        return self._lock is not None and self._lock.is_still(self.path)


class Directory:
    """One scratch directory."""

    def __init__(self, root: Root, home: Home | None) -> None:
        self._owner, self.path = os.getpid(), ""
        for attempts_left in reversed(range(_ATTEMPTS)):
            try:
                self.home = home if home is not None and home.is_usable else Home(root)
                path = os.path.join(self.home.path, os.urandom(6).hex())
                make_private(path)
                self.path = path
                return
            except FileNotFoundError:
                # Another thread removed the home with its last directory, or a cleaner everything.
                home = None
                root.restore()
            except OSError as error:
                reraise_from_handler(error)
                if not is_denied(error):
                    raise
                if not attempts_left:
                    raise denied(root.base, error) from error
                home = None
                root.restore()
        raise UnsafeRootError(f"{root.scratch} is deleted again and again by somebody else")

    def remove(self) -> None:
        """Remove the directory with all in it. In a forked child, do nothing: it is the parent's.

        What cannot be removed now (a mount, an immutable file) is tried again by :func:`sweep`.
        """
        if self._owner != os.getpid():
            return
        remove_tree(self.path)
        try:
            os.rmdir(self.home.path)
        except OSError as error:  # another scratch of this process is in it
            reraise_from_handler(error)
            return
        self.home.close()


class Scratches:
    """Creates the scratch directories of one process under one root."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._home: ref[Home] | None = None

    @property
    def own(self) -> str:
        """The name of this process's home, "" if there is none."""
        home = None if self._home is None else self._home()
        return "" if home is None else os.path.basename(home.path)

    def new(self) -> Directory:
        """Create a private directory that belongs to this process."""
        directory = Directory(self._root, None if self._home is None else self._home())
        self._home = ref(directory.home)
        return directory


def homes(root: Root) -> set[str]:
    """Return the names of all processes' homes."""
    try:
        return {name for name in os.listdir(root.scratch) if is_session(name)}
    except OSError as error:
        reraise_from_handler(error)
        return set()


def sweep(root: Root) -> None:
    """Remove the scratch directories of dead processes."""
    try:
        top = Descriptor(root.scratch, DIRECTORY)
    except OSError as error:  # there is none, or it is not ours
        reraise_from_handler(error)
        return
    removed = 0
    for name in os.listdir(top.fd):
        if not is_session(name):
            continue
        try:
            home = Descriptor(name, DIRECTORY, dir_fd=top.fd)
        except OSError as error:  # a link, a file
            reraise_from_handler(error)
            continue
        if try_lock(home.fd):
            remove_tree(os.path.join(root.scratch, name))
            removed += 1
        home.close()
    top.close()
    if removed:
        from ..common.events import note

        note("Swept", scratches=removed)
