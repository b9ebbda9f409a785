"""The root of a round: how much is on disk, what cleaners and vandals remove, what is outside."""

from __future__ import annotations

import fcntl
import glob
import hashlib
import os
import random
import stat
import time
from collections.abc import Iterator

_BLOCK = 512


def allocated(root: str) -> dict[str, int]:
    """Return the bytes of all blocks under the root by what they are for, as ``du`` counts them.

    Directories count, hard links once, and scratch directories not at all: those directly under
    the root, and directly under the directory of a format.
    """
    found: dict[str, int] = {}
    seen: set[int] = set()
    for depth, path, entry in _walk(root):
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if status.st_ino not in seen:
            seen.add(status.st_ino)
            parts = os.path.relpath(path, root).split(os.sep)
            label = os.path.join(*parts[: min(depth, 2)])
            found[label] = found.get(label, 0) + status.st_blocks * _BLOCK
    try:
        found["."] = os.lstat(root).st_blocks * _BLOCK
    except FileNotFoundError:
        pass
    return found


def _walk(directory: str, depth: int = 1) -> Iterator[tuple[int, str, os.DirEntry[str]]]:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if depth <= 2 and entry.name == "scratch":
                    continue
                yield depth, entry.path, entry
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(entry.path, depth + 1)
    except FileNotFoundError:
        return


def clean(directory: str, age: float) -> int:
    """Remove what nobody has used for `age` seconds, as systemd-tmpfiles does; how many.

    Like that, it leaves a directory alone that somebody has locked, with all in it. It leaves
    locked files alone, too.
    """
    removed, limit = 0, time.time() - age
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        if not _lock(fd):
            return 0
        with os.scandir(fd) as entries:
            for entry in list(entries):
                path = os.path.join(directory, entry.name)
                try:
                    status = entry.stat(follow_symlinks=False)
                    old = max(status.st_atime, status.st_mtime, status.st_ctime) < limit
                    if stat.S_ISDIR(status.st_mode):
                        removed += clean(path, age)
                        if old:
                            os.rmdir(entry.name, dir_fd=fd)
                    elif old:
                        removed += _unlink_unless_locked(entry.name, fd, status)
                except OSError:
                    continue
    finally:
        os.close(fd)
    return removed


def _unlink_unless_locked(name: str, directory: int, status: os.stat_result) -> int:
    if not stat.S_ISREG(status.st_mode):
        os.unlink(name, dir_fd=directory)
        return 1
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(name, flags, dir_fd=directory)
    try:
        if not _lock(fd):
            return 0
        os.unlink(name, dir_fd=directory)
        return 1
    finally:
        os.close(fd)


def _lock(fd: int) -> bool:
    """Lock a descriptor unless another process has; return whether it is locked."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def vandalize(root: str, dice: random.Random) -> int:
    """Delete one of the files that hold the store together; how many that were."""
    found = glob.glob(f"{root}/**/sessions/*", recursive=True)
    for pattern in ("index.sqlite*", "changes"):
        found += glob.glob(f"{root}/**/{pattern}", recursive=True)
    if not found:
        return 0
    try:
        os.unlink(dice.choice(sorted(found)))
    except OSError:
        return 0
    return 1


def make_outside(directory: str) -> None:
    """Make a tree that nothing may touch: files, directories, modes, a link."""
    os.makedirs(os.path.join(directory, "deep", "er"))
    for name in ("file", "deep/file", "deep/er/file"):
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(f"nobody touches {name}\n")
    os.symlink("deep", os.path.join(directory, "link"))
    os.chmod(os.path.join(directory, "deep", "file"), 0o400)
    os.chmod(os.path.join(directory, "deep", "er"), 0o500)


def fingerprint(directory: str) -> dict[str, tuple[int, int, int, str]]:
    """Return mode, modification time, links and content of all in a tree."""
    found = {}
    for above, directories, files in os.walk(directory):
        for name in [*directories, *files, "."]:
            path = os.path.normpath(os.path.join(above, name))
            status = os.lstat(path)
            digest = ""
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    digest = hashlib.sha256(file.read()).hexdigest()
            found[path] = status.st_mode, status.st_mtime_ns, status.st_nlink, digest
    return found
