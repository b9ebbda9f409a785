"""Scratch directories on disk: each belongs to a session, and goes with it at the latest."""

from __future__ import annotations

import os

from .root import make_private
from .trees import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .access import Access


class Directory:
    """One private directory, ``scratch/<session>/<random>``."""

    def __init__(self, access: Access) -> None:
        session = access.session()
        self._session = session  # as long as we are here, the session is not closed
        self._owner = os.getpid()
        root = access.root
        self._parent = os.path.join(root.scratch, os.path.basename(session.path))
        self.path = os.path.join(self._parent, os.urandom(6).hex())
        while not os.path.isdir(self.path):
            try:
                for directory in (root.scratch, self._parent, self.path):
                    make_private(directory)
            except FileNotFoundError:  # another thread's last scratch has just gone
                continue

    def remove(self) -> None:
        """Remove the directory with all in it; not in a forked child, whose it is not.

        What cannot be removed now (a mount, an immutable file) is tried again by whoever sweeps.
        """
        if self._owner != os.getpid():
            return
        remove_tree(self.path)
        try:
            os.rmdir(self._parent)
        except OSError:  # another scratch of this process is in it
            return
