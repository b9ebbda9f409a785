"""The cache directory: made safely, or refused. /tmp is shared with strangers.

Nothing is created in, read from or deleted from a directory that another user owns, may read or
may write, or that a symbolic link leads to; and a directory that holds somebody's files is not
taken for a cache.
"""

from __future__ import annotations

import os
import stat

from ..errors import UnsafeRootError

#: First line as https://bford.info/cachedir/ demands: backup programs skip such directories.
_TAG = b"""Signature: 8a477f597d28d172789f06886806bc55
# This directory is a cache of tmpcache. All in it can be fetched again, so it may be deleted as a
# whole, best while no program uses it. index.sqlite lists what is here; blobs/ holds the content,
# named by its xxh3_128 hash; partial/ downloads under way; sessions/ one locked file for each
# process that uses the cache; scratch/ private directories of those processes; changes counts
# what is done to them.
"""
_DIRECTORIES = ("blobs", "partial", "sessions", "scratch")
_INDEX, _CHANGES = "index.sqlite", "changes"


class Root:
    """Paths under the cache directory, all of them str: the hot path has no time for Path."""

    __slots__ = ("blobs", "changes", "index", "partial", "path", "scratch", "sessions", "tag")

    def __init__(self, path: str) -> None:
        self.path = path
        self.blobs, self.partial, self.sessions, self.scratch = (
            os.path.join(path, name) for name in _DIRECTORIES
        )
        self.index = os.path.join(path, _INDEX)
        self.changes = os.path.join(path, _CHANGES)
        self.tag = os.path.join(path, "CACHEDIR.TAG")

    def prepare(self) -> None:
        """Create what is missing, check what is there; :class:`UnsafeRootError` if not ours."""
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            make_private(self.path)
        except (FileExistsError, NotADirectoryError) as error:
            raise UnsafeRootError(
                f"{self.path} cannot be a cache directory: {error.strerror} ({error.filename}). "
                "Choose another root."
            ) from error
        if not os.path.lexists(self.tag):
            self._adopt()
        for directory in (self.blobs, self.partial, self.sessions):
            make_private(directory)

    def _adopt(self) -> None:
        """Tag the directory, unless it holds what is not ours: that must never be swept."""
        ours = {*_DIRECTORIES, _INDEX, f"{_INDEX}-wal", f"{_INDEX}-shm", _CHANGES}
        strangers = sorted(set(os.listdir(self.path)) - ours)
        if os.path.lexists(self.tag):  # another process has tagged it meanwhile
            return
        if strangers:
            raise UnsafeRootError(
                f"{self.path} is not a cache directory: it holds {strangers[0]!r}. Choose a "
                "directory that is empty or does not exist yet as root."
            )
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        tag = os.open(self.tag, flags, 0o600)
        try:
            os.write(tag, _TAG)
        finally:
            os.close(tag)

    def measured(self) -> int:
        """Allocated bytes of all but index, content and sessions."""
        paths = (self.path, self.blobs, self.partial, self.sessions, self.tag, self.changes)
        return sum(map(allocated, paths))


def allocated(path: str) -> int:
    """Bytes of blocks that a file or directory itself occupies; 0 where there is none."""
    try:
        return os.lstat(path).st_blocks * 512
    except FileNotFoundError:
        return 0


def boot_id() -> str:
    """What tells one boot of this machine from another; "" where the system does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def make_private(path: str) -> None:
    """Create a directory of mode 0700, or check that the one there is ours alone."""
    try:
        os.mkdir(path, 0o700)
        os.chmod(path, 0o700)  # whatever the umask
    except FileExistsError:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            problem = "it is a symbolic link"
        elif not stat.S_ISDIR(status.st_mode):
            problem = "it is not a directory"
        elif status.st_uid != os.geteuid():
            problem = f"it belongs to user {status.st_uid}, and this process runs as {os.geteuid()}"
        elif status.st_mode & 0o077:
            problem = (
                f"others may enter it (mode {stat.S_IMODE(status.st_mode):04o}); if it is yours, "
                f"chmod 700 {path}, or"
            )
        else:
            return
        raise UnsafeRootError(
            f"{path} is refused as a cache directory: {problem}. "
            "Remove it or choose another root (root=…, TMPCACHE_ROOT)."
        ) from None
