"""Removing directory trees that users have filled: read-only, unreadable, of any depth."""

from __future__ import annotations

import os
import stat

from ...common.handler_exceptions import reraise_from_handler
from .descriptor import DIRECTORY, Descriptor


def remove_tree(path: str) -> bool:
    """Remove a directory and all in it; return False if something could not be removed.

    shutil.rmtree would not do: it recurses, so it fails on a tree of some hundred levels; it stops
    at directories without write permission; it keeps a descriptor open for each level. This
    function moves directories from deeper levels up to the first one, until there are none, so
    neither depth nor length of paths matters. It removes symbolic links and never follows them. It
    leaves the modes of files alone, because a file may be a hard link to a blob.
    """
    try:
        top = _open_directory(path)
    except FileNotFoundError:
        return True
    except OSError as error:  # a symbolic link, a file, or another user's directory
        reraise_from_handler(error)
        return False
    try:
        kept: set[str] = set()
        while names := set(os.listdir(top.fd)) - kept:
            kept |= {name for name in names if not _remove_entry(top.fd, name)}
    finally:
        top.close()
    try:
        os.rmdir(path)
    except OSError as error:
        reraise_from_handler(error)
        return False
    return True


def _open_directory(name: str, directory: int | None = None) -> Descriptor:
    """Open a directory, and give its owner all rights to it. A symbolic link is an error."""
    try:
        opened = Descriptor(name, DIRECTORY, dir_fd=directory)
    except PermissionError:
        if not hasattr(os, "O_PATH"):  # macOS, whose chmod need not follow links
            os.chmod(name, 0o700, dir_fd=directory, follow_symlinks=False)
        else:
            unread = Descriptor(name, os.O_PATH | os.O_DIRECTORY, dir_fd=directory)
            os.chmod(f"/proc/self/fd/{unread.fd}", 0o700)
            unread.close()
        opened = Descriptor(name, DIRECTORY, dir_fd=directory)
    try:
        os.fchmod(opened.fd, 0o700)
    except OSError as error:
        reraise_from_handler(error)
        opened.close()
        raise
    return opened


def _remove_entry(top: int, name: str) -> bool:
    """Remove an entry of the top directory, after moving the directories in it up to the top."""
    try:
        if not stat.S_ISDIR(os.lstat(name, dir_fd=top).st_mode):
            os.unlink(name, dir_fd=top)
            return True
        directory = _open_directory(name, top)
    except OSError as error:
        reraise_from_handler(error)
        return False
    try:
        for inner in os.listdir(directory.fd):
            try:
                if stat.S_ISDIR(os.lstat(inner, dir_fd=directory.fd).st_mode):
                    _open_directory(
                        inner, directory.fd
                    ).close()  # only a writable directory can be moved
                    above = os.urandom(8).hex()
                    os.rename(inner, above, src_dir_fd=directory.fd, dst_dir_fd=top)
                else:
                    os.unlink(inner, dir_fd=directory.fd)
            except OSError as error:
                reraise_from_handler(error)
                continue
        os.rmdir(name, dir_fd=top)
        return True
    except OSError as error:
        reraise_from_handler(error)
        return False
    finally:
        directory.close()
