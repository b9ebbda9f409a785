"""Removing directory trees that somebody else filled: read-only, unreadable, of any depth."""

from __future__ import annotations

import os
import stat


def remove_tree(path: str) -> bool:
    """Remove a directory and all in it; False if something could not be removed.

    Not shutil.rmtree: that recurses (a tree deeper than some hundred levels defeats it), stops at
    directories without write permission, and keeps a descriptor for each level. Here the
    directories below the first level are moved up to it until there are none, so neither depth nor
    length of paths matters. Symbolic links are removed, never followed; modes of files, which may
    be hard links to blobs, are left alone.
    """
    try:
        _make_accessible(path)
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        resisted: set[str] = set()
        while names := set(os.listdir(top)) - resisted:
            resisted |= {name for name in names if not _remove_one(top, name)}
    finally:
        os.close(top)
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True


def _remove_one(top: int, name: str) -> bool:
    """Remove an entry of the top directory, after moving the directories in it up to the top."""
    try:
        if not stat.S_ISDIR(os.lstat(name, dir_fd=top).st_mode):
            os.unlink(name, dir_fd=top)
            return True
        _make_accessible(name, top)
        directory = os.open(
            name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top
        )
    except OSError:
        return False
    try:
        for inner in os.listdir(directory):
            try:
                if stat.S_ISDIR(os.lstat(inner, dir_fd=directory).st_mode):
                    _make_accessible(inner, directory)  # a directory that moves must be writable
                    above = os.urandom(8).hex()
                    os.rename(inner, above, src_dir_fd=directory, dst_dir_fd=top)
                else:
                    os.unlink(inner, dir_fd=directory)
            except OSError:
                continue
        os.rmdir(name, dir_fd=top)
        return True
    except OSError:
        return False
    finally:
        os.close(directory)


def _make_accessible(name: str, directory: int | None = None) -> None:
    os.chmod(name, 0o700, dir_fd=directory)
