"""Scratch directories on disk: each belongs to a process, and goes with it at the latest.

They lie in a directory of their process, ``scratch/<random>/<random>``, which it keeps locked
(``flock``) as long as there are any: whoever can lock it knows that its process is gone.
"""

from __future__ import annotations

import fcntl
import os
from weakref import ref

from ..common.forking import reset_in_children
from ..common.interruption import reraise_interrupt
from ..errors import UnsafeRootError
from .filesystem.files import DIRECTORY, Descriptor
from .filesystem.remove_tree import remove_tree
from .leases.file_lock import try_lock
from .leases.live_sessions import is_session
from .root import make_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .root import Root

#: How often a directory is made anew that somebody deletes under our hands.
_TRIES = 100


class Home:
    """The directory of this process that its scratch directories are in, locked."""

    def __init__(self, root: Root) -> None:
        make_private(root.scratch)
        self.path = os.path.join(root.scratch, os.urandom(8).hex())
        make_private(self.path)
        self._lock: Descriptor | None = Descriptor(self.path, DIRECTORY)
        if not try_lock(self._lock.fd, fcntl.LOCK_SH) or not self._lock.is_still(self.path):
            raise FileNotFoundError(self.path)  # somebody swept it just now
        reset_in_children(self)

    def forked(self) -> None:
        """In a child: the directory lives as long as the parent."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def is_usable(self) -> bool:
        """Whether more directories can be made in it, by this process."""
        return self._lock is not None and self._lock.is_still(self.path)


class Directory:
    """One private directory."""

    def __init__(self, root: Root, home: Home | None) -> None:
        self._owner, self.path = os.getpid(), ""
        for _ in range(_TRIES):
            try:
                self.home = home if home is not None and home.is_usable else Home(root)
                path = os.path.join(self.home.path, os.urandom(6).hex())
                make_private(path)
                self.path = path
                return
            except FileNotFoundError:  # another thread's last scratch has just gone, or all has
                home = None
                root.prepare()
        raise UnsafeRootError(f"{root.scratch} is deleted again and again by somebody else")

    def remove(self) -> None:
        """Remove the directory with all in it; not in a forked child, whose it is not.

        What cannot be removed now (a mount, an immutable file) is tried again by whoever sweeps.
        """
        if self._owner != os.getpid():
            return
        remove_tree(self.path)
        try:
            os.rmdir(self.home.path)
        except OSError as error:  # another scratch of this process is in it
            reraise_interrupt(error)
            return


class Scratches:
    """Makes the scratch directories of one process under one root."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._home: ref[Home] | None = None

    @property
    def own(self) -> str:
        """The name of this process's directory, "" if there is none."""
        home = None if self._home is None else self._home()
        return "" if home is None else os.path.basename(home.path)

    def new(self) -> Directory:
        """A new private directory that belongs to this process."""
        directory = Directory(self._root, None if self._home is None else self._home())
        self._home = ref(directory.home)
        return directory


def homes(root: Root) -> set[str]:
    """The names of all processes' directories."""
    try:
        return {name for name in os.listdir(root.scratch) if is_session(name)}
    except OSError as error:
        reraise_interrupt(error)
        return set()


def sweep(root: Root) -> None:
    """Remove the scratch directories of processes that are no more."""
    try:
        top = Descriptor(root.scratch, DIRECTORY)
    except OSError as error:  # there is none, or what is there is not ours
        reraise_interrupt(error)
        return
    for name in os.listdir(top.fd):
        if not is_session(name):
            continue
        try:
            home = Descriptor(name, DIRECTORY, dir_fd=top.fd)
        except OSError as error:  # a link, a file
            reraise_interrupt(error)
            continue
        if try_lock(home.fd):
            remove_tree(os.path.join(root.scratch, name))
        home.close()
    top.close()
