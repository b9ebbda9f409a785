"""Removing directory trees that somebody else filled: read-only, unreadable, of any depth."""

from __future__ import annotations

import os
import stat

from ...common.interruption import reraise_interrupt
from .files import DIRECTORY, Descriptor


def remove_tree(path: str) -> bool:
    """Remove a directory and all in it; False if something could not be removed.

    Not shutil.rmtree: that recurses (a tree deeper than some hundred levels defeats it), stops at
    directories without write permission, and keeps a descriptor for each level. Here the
    directories below the first level are moved up to it until there are none, so neither depth nor
    length of paths matters. Symbolic links are removed, never followed; modes of files, which may
    be hard links to blobs, are left alone.
    """
    try:
        top = _opened(path)
    except FileNotFoundError:
        return True
    except OSError as error:  # a link, a file, or somebody else's
        reraise_interrupt(error)
        return False
    try:
        resisted: set[str] = set()
        while names := set(os.listdir(top.fd)) - resisted:
            resisted |= {name for name in names if not _remove_one(top.fd, name)}
    finally:
        top.close()
    try:
        os.rmdir(path)
    except OSError as error:
        reraise_interrupt(error)
        return False
    return True


def _opened(name: str, directory: int | None = None) -> Descriptor:
    """Open a directory after giving us all rights to it; the target of a link is not touched."""
    try:
        opened = Descriptor(name, DIRECTORY, dir_fd=directory)
    except PermissionError:
        if not hasattr(os, "O_PATH"):  # macOS, which can leave links alone
            os.chmod(name, 0o700, dir_fd=directory, follow_symlinks=False)
        else:
            place = Descriptor(name, os.O_PATH | os.O_DIRECTORY, dir_fd=directory)
            os.chmod(f"/proc/self/fd/{place.fd}", 0o700)
            place.close()
        opened = Descriptor(name, DIRECTORY, dir_fd=directory)
    try:
        os.fchmod(opened.fd, 0o700)
    except OSError as error:
        reraise_interrupt(error)
        opened.close()
        raise
    return opened


def _remove_one(top: int, name: str) -> bool:
    """Remove an entry of the top directory, after moving the directories in it up to the top."""
    try:
        if not stat.S_ISDIR(os.lstat(name, dir_fd=top).st_mode):
            os.unlink(name, dir_fd=top)
            return True
        directory = _opened(name, top)
    except OSError as error:
        reraise_interrupt(error)
        return False
    try:
        for inner in os.listdir(directory.fd):
            try:
                if stat.S_ISDIR(os.lstat(inner, dir_fd=directory.fd).st_mode):
                    _opened(inner, directory.fd).close()  # what moves must be writable
                    above = os.urandom(8).hex()
                    os.rename(inner, above, src_dir_fd=directory.fd, dst_dir_fd=top)
                else:
                    os.unlink(inner, dir_fd=directory.fd)
            except OSError as error:
                reraise_interrupt(error)
                continue
        os.rmdir(name, dir_fd=top)
        return True
    except OSError as error:
        reraise_interrupt(error)
        return False
    finally:
        directory.close()
