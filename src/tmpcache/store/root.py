"""The cache directory: made safely, or refused. /tmp is shared with strangers.

Nothing is created in, read from or deleted from a directory that another user owns, may read or
may write, or that a symbolic link leads to; and a directory that holds somebody's files is not
taken for a cache. Nor is one in a directory where others could put something else in its place.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat

from ..common.interruption import reraise_interrupt
from ..errors import UnsafeRootError
from .filesystem import files
from .filesystem.files import Descriptor, allocated
from .index import FORMAT
from .leases.live_sessions import LiveSessions

#: First line as https://bford.info/cachedir/ demands: backup programs skip such directories.
_TAG = b"""Signature: 8a477f597d28d172789f06886806bc55
# This directory is a cache of tmpcache. All in it can be fetched again, so it may be deleted as a
# whole, best while no program uses it. index.sqlite lists what is here; blobs/ holds the content,
# named by its xxh3_128 hash; partial/ downloads under way; sessions/ one locked file for each
# process that uses the cache; scratch/ private directories of those processes; changes counts
# what is done to them.
"""
#: The format whose files lie directly in the root. Releases of other formats, which may use the
#: root at the same time, have a directory of their own in it, ``v5`` for example.
_FIRST_FORMAT = 4
_DIRECTORIES = ("blobs", "partial", "sessions", "scratch")
_INDEX, _CHANGES = "index.sqlite", "changes"
_FILES = (_INDEX, f"{_INDEX}-wal", f"{_INDEX}-shm", f"{_INDEX}-journal", _CHANGES)
_OTHER_FORMAT = re.compile(r"v\d+")


class Root:
    """Paths under the cache directory, all of them str: the hot path has no time for Path."""

    __slots__ = (
        *("_lock", "_tag", "base", "blobs", "session_files", "changes", "index", "partial", "path"),
        *("scratch", "sessions"),
    )

    def __init__(self, base: str, version: int = FORMAT) -> None:
        #: What the user gave, and where the files of this format are.
        self.base = base
        self.path = base if version == _FIRST_FORMAT else os.path.join(base, f"v{version}")
        self.blobs, self.partial, self.sessions, self.scratch = (
            os.path.join(self.path, name) for name in _DIRECTORIES
        )
        self.index = os.path.join(self.path, _INDEX)
        self.changes = os.path.join(self.path, _CHANGES)
        self._tag = os.path.join(base, "CACHEDIR.TAG")
        self._lock: Descriptor | None = None
        #: Of all processes that use the root.
        self.session_files = LiveSessions(self.sessions)

    def prepare(self) -> None:
        """Create what is missing, check what is there; :class:`UnsafeRootError` if not ours."""
        above = os.path.dirname(self.base)
        try:
            os.makedirs(above, mode=0o700, exist_ok=True)
            _refuse_what_others_may_replace(above)
            make_private(self.base)
        except (FileExistsError, NotADirectoryError) as error:
            raise UnsafeRootError(
                f"{self.base} cannot be a cache directory: {error.strerror} ({error.filename}). "
                "Choose another root."
            ) from error
        if not os.path.lexists(self._tag):
            self._tag_directory()
        for directory in (self.path, self.blobs, self.partial, self.sessions):
            make_private(directory)
        self._keep_cleaners_away()

    def is_ours(self, name: str) -> bool:
        """Whether an entry of :attr:`path` is one that is accounted for by its name."""
        return name in (*_DIRECTORIES, *_FILES, "CACHEDIR.TAG") or is_elsewhere(name)

    def _tag_directory(self) -> None:
        """Tag the directory, unless it holds what is not ours: that must never be swept."""
        ours = {*_DIRECTORIES, *_FILES}
        strangers = sorted(
            name
            for name in os.listdir(self.base)
            if name not in ours and not _OTHER_FORMAT.fullmatch(name)
        )
        if os.path.lexists(self._tag):  # another process has tagged it meanwhile
            return
        if strangers:
            raise UnsafeRootError(
                f"{self.base} is not a cache directory: it holds {strangers[0]!r}. Choose a "
                "directory that is empty or does not exist yet as root."
            )
        tag = files.open_or_create(self._tag)
        os.pwrite(tag.fd, _TAG, 0)

    def _keep_cleaners_away(self) -> None:
        """Lock the directory, shared: systemd-tmpfiles does not age what is in a locked one."""
        if self._lock is None or not self._lock.is_still(self.base):
            if self._lock is not None:  # first: the next one may get its number
                self._lock.close()
            self._lock = Descriptor(self.base, files.DIRECTORY)
            try:
                fcntl.flock(self._lock.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:  # a cleaner is at work just now
                return

    def close(self) -> None:
        """Let cleaners in again."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        self.session_files.close()

    def measured(self) -> int:
        """Allocated bytes of all but index, content and sessions, strangers in them included."""
        paths = {self.base, self.path, self.blobs, self.partial, self.sessions, self._tag}
        return sum(map(allocated, (*paths, self.changes)))

    def other_formats(self) -> list[Root]:
        """What releases of another format have here."""
        try:
            found = [name for name in os.listdir(self.base) if _OTHER_FORMAT.fullmatch(name)]
        except OSError as error:
            reraise_interrupt(error)
            return []
        others = [
            Root(self.base, int(name[1:])) for name in found if int(name[1:]) != _FIRST_FORMAT
        ]
        if self.path != self.base and os.path.lexists(os.path.join(self.base, _INDEX)):
            others.append(Root(self.base, _FIRST_FORMAT))
        return [other for other in others if other.path != self.path]

    def remove(self) -> None:
        """Remove all that is here, of a format that nobody uses any more."""
        from .filesystem.remove_tree import remove_tree

        for directory in (self.blobs, self.partial, self.sessions, self.scratch):
            remove_tree(directory)
        for name in _FILES:
            files.remove(os.path.join(self.path, name))
        if self.path != self.base:
            remove_tree(self.path)


def is_elsewhere(name: str) -> bool:
    """Whether an entry does not count for the format in whose directory it is."""
    return name == "scratch" or _OTHER_FORMAT.fullmatch(name) is not None


def boot_id() -> str:
    """What tells one boot of this machine from another; "" where the system does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError as error:
        reraise_interrupt(error)
        return ""


def make_private(path: str) -> None:
    """Create a directory of mode 0700, or check that the one there is ours alone."""
    try:
        os.mkdir(path, 0o700)
        os.chmod(path, 0o700)  # whatever the umask
    except FileExistsError:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            problem, advice = "it is a symbolic link", "Remove it"
        elif not stat.S_ISDIR(status.st_mode):
            problem, advice = "it is not a directory", "Remove it"
        elif status.st_uid != os.geteuid():
            problem = f"it belongs to user {status.st_uid}, and this process runs as {os.geteuid()}"
            advice = "Remove it"
        elif not status.st_mode & 0o077:
            if status.st_mode & 0o700 != 0o700:
                os.chmod(path, 0o700)
            return
        else:
            problem = f"others may enter it (mode {stat.S_IMODE(status.st_mode):04o})"
            advice = f"If it is a cache of yours, make it private (chmod 700 {path})"
        raise UnsafeRootError(
            f"{path} is refused as a cache directory: {problem}. {advice}, or choose another root "
            "(root=…, TMPCACHE_ROOT)."
        ) from None


def _refuse_what_others_may_replace(directory: str) -> None:
    """Refuse a path in which others could rename a directory, and put their own in its place.

    As sshd does with the path to a file of keys. Where the sticky bit is set, as on /tmp, nobody
    can rename what is not his.
    """
    above = os.path.realpath(directory)
    while True:
        status = os.stat(above)
        writable = status.st_mode & stat.S_IWOTH or (
            status.st_mode & stat.S_IWGRP and status.st_gid != os.getegid()
        )
        if writable and not status.st_mode & stat.S_ISVTX:
            raise UnsafeRootError(
                f"{directory} is no place for a cache directory: others may write to {above} (mode "
                f"{stat.S_IMODE(status.st_mode):04o}) and put something else in its place. Take "
                f"that from them (chmod go-w {above}), or choose another root (root=…, "
                "TMPCACHE_ROOT)."
            )
        if above == os.path.dirname(above):
            return
        above = os.path.dirname(above)
