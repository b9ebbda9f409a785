"""How many bytes a directory occupies, as the file system counts them."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from support.processes import Child


def allocated(root: Path, *, without: Sequence[str] = ("scratch",)) -> int:
    """Return the bytes of all blocks under `root`, like `du`: directories too, a hard link once.

    Top-level entries named in `without` are left out. Files that vanish meanwhile count nothing.
    """
    inodes: dict[tuple[int, int], int] = {}

    def walk(directory: str, hidden: Sequence[str] = ()) -> None:
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.name not in hidden:
                        note(entry.path)
                        if entry.is_dir(follow_symlinks=False):
                            walk(entry.path)
        except FileNotFoundError:
            return

    def note(path: str) -> None:
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return
        inodes[found.st_dev, found.st_ino] = found.st_blocks * 512

    note(str(root))
    walk(str(root), without)
    return sum(inodes.values())


def occupied(mount: Path) -> int:
    """Return the bytes in use on the file system of `mount`: one number, true at one instant."""
    found = os.statvfs(mount)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


class Sampler:
    """Measures again and again in a thread of its own and keeps the largest value.

    With `children`, they all stand still (SIGSTOP) while it measures. A walk over a directory
    takes time; without the pause it could add up a file that was just evicted and its successor.
    """

    def __init__(self, measure: Callable[[], int], children: Sequence[Child] = ()) -> None:
        self._measure = measure
        self._children = children
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.samples = 0
        self.peak = 0

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        pause = random.Random(0)
        while not self._ended.wait(pause.uniform(0.0, 0.004)):
            for child in self._children:
                child.stop()
            self.peak = max(self.peak, self._measure())
            self.samples += 1
            for child in self._children:
                child.resume()


#: Runs a command as the root of a namespace of its own, in which it may mount file systems.
IN_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


class NotPermitted(Exception):
    """This process may not mount file systems."""


@cache
def namespaces_are_allowed() -> bool:
    """Return whether an ordinary user may mount file systems in a namespace of its own."""
    return bool(shutil.which("unshare")) and _succeeds(*IN_NAMESPACE, "true")


@contextmanager
def tmpfs(mountpoint: Path, options: str) -> Iterator[Path]:
    """Mount a file system in memory, such as `size=4m,nr_inodes=100`, for the block."""
    options += ",mode=0700"
    if not _succeeds("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(mountpoint)):
        raise NotPermitted("needs the right to mount a file system")
    try:
        yield mountpoint
    finally:
        subprocess.run(["umount", "--lazy", str(mountpoint)], check=True)


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Mount a directory read-only over itself for the block; what is open already stays so."""
    subprocess.run(["mount", "--bind", str(directory), str(directory)], check=True)
    try:
        options = ["-o", "remount,bind,ro"]
        subprocess.run(["mount", *options, str(directory)], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0
