"""The root: the directory of a cache, with the paths in it. It is created safely, or refused.

/tmp is shared with other users. A root is refused if

* another user owns it, or may read or write it;
* a symbolic link leads to it;
* it holds files and has no ``CACHEDIR.TAG``, as these may be somebody's own;
* another user could rename a directory on the path to it and put another one in its place;
* it is on a network file system.

In a directory that is refused, nothing is created, read or deleted.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from ..common.handler_exceptions import reraise_from_handler
from ..errors import UnsafeRootError
from .filesystem import files
from .filesystem.descriptor import DIRECTORY, Descriptor
from .filesystem.files import allocated
from .filesystem.mounts import network_file_system
from .index import FORMAT
from .leases.live_sessions import LiveSessions

#: The first line follows https://bford.info/cachedir/: backup programs skip such directories.
_TAG = b"""Signature: 8a477f597d28d172789f06886806bc55
# This directory is a cache of tmpcache. All in it can be fetched again, so it may be deleted as a
# whole, best while no program uses it. index.sqlite lists what is here; blobs/ holds the content,
# named by its xxh3_128 hash; partial/ downloads under way; sessions/ one locked file for each
# process that uses the cache; scratch/ private directories of those processes; changes counts
# what is done to them.
"""
#: The files of this format are directly in the root. Releases of other formats may use the root at
#: the same time; each has a directory in it, ``v6`` for example.
_FIRST_FORMAT = 5
_DIRECTORIES = ("blobs", "partial", "sessions", "scratch")
_INDEX, _CHANGES = "index.sqlite", "changes"
_FILES = (_INDEX, f"{_INDEX}-wal", f"{_INDEX}-shm", f"{_INDEX}-journal", _CHANGES)


class Root:
    """The paths under a root. All are str, because building a Path would slow down a hit."""

    __slots__ = (
        "_lock",
        "_tag",
        "base",
        "blobs",
        "changes",
        "index",
        "live_sessions",
        "partial",
        "path",
        "scratch",
        "sessions",
    )

    def __init__(self, base: str, format: int = FORMAT) -> None:
        #: The directory that the user named, and the one with the files of this format.
        self.base = base
        self.path = base if format == _FIRST_FORMAT else os.path.join(base, f"v{format}")
        self.blobs, self.partial, self.sessions, self.scratch = (
            os.path.join(self.path, name) for name in _DIRECTORIES
        )
        self.index = os.path.join(self.path, _INDEX)
        self.changes = os.path.join(self.path, _CHANGES)
        self._tag = os.path.join(base, "CACHEDIR.TAG")
        self._lock: Descriptor | None = None
        #: The sessions of all processes that use the root.
        self.live_sessions = LiveSessions(self.sessions)

    def prepare(self) -> None:
        """Create what is missing, and check the rest.

        Raise :class:`UnsafeRootError` if the root is refused, ``OSError`` if it cannot be written.
        """
        above = os.path.dirname(self.base)
        try:
            os.makedirs(above, mode=0o700, exist_ok=True)
            _refuse_what_others_may_replace(above)
            _refuse_network(self.base, self.base if os.path.isdir(self.base) else above)
            make_private(self.base)
            _refuse_read_only(self.base)
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

    def restore(self) -> None:
        """Make directories that are missing, and give this user the rights on ours back.

        Raises :class:`UnsafeRootError` if this user may not, or nobody may.
        """
        try:
            self.prepare()
        except OSError as error:
            reraise_from_handler(error)
            if not is_denied(error):
                raise
            raise denied(self.base, error) from error

    def is_ours(self, name: str) -> bool:
        """Return whether an entry of :attr:`path` is counted by its name, not as a foreign file."""
        return name in (*_DIRECTORIES, *_FILES, "CACHEDIR.TAG") or is_excluded(name)

    def _tag_directory(self) -> None:
        """Tag the directory, unless it holds foreign files: these must never be deleted."""
        ours = {*_DIRECTORIES, *_FILES}
        foreign = sorted(
            name for name in os.listdir(self.base) if name not in ours and not _is_format(name)
        )
        if os.path.lexists(self._tag):  # another process has tagged it meanwhile
            return
        if foreign:
            raise UnsafeRootError(
                f"{self.base} is not a cache directory: it holds {foreign[0]!r}. Choose a "
                "directory that is empty or does not exist yet as root."
            )
        with files.open_or_create(self._tag) as tag:
            os.pwrite(tag.fd, _TAG, 0)

    def _keep_cleaners_away(self) -> None:
        """Hold a shared lock on the root: systemd-tmpfiles does not age files in a locked one."""
        if self._lock is None or not self._lock.is_still(self.base):
            if self._lock is not None:  # before opening: the new descriptor may get its number
                self._lock.close()
            self._lock = Descriptor(self.base, DIRECTORY)
            try:
                fcntl.flock(self._lock.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:  # a cleaner is at work just now
                return

    def close(self) -> None:
        """Release the lock that keeps cleaners away, and close session files."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        self.live_sessions.close()

    def measured(self) -> int:
        """Return the allocated bytes of the directories, the tag and ``changes``."""
        paths = {self.base, self.path, self.blobs, self.partial, self.sessions, self._tag}
        return sum(map(allocated, (*paths, self.changes)))

    def other_formats(self) -> list[Root]:
        """Return the roots of other formats that releases have created in this one."""
        try:
            found = [name for name in os.listdir(self.base) if _is_format(name)]
        except OSError as error:
            reraise_from_handler(error)
            return []
        others = [
            Root(self.base, int(name[1:])) for name in found if int(name[1:]) != _FIRST_FORMAT
        ]
        if self.path != self.base and os.path.lexists(os.path.join(self.base, _INDEX)):
            others.append(Root(self.base, _FIRST_FORMAT))
        return [other for other in others if other.path != self.path]

    def remove_unused_formats(self) -> None:
        """Remove the directories of other releases' formats that no living process uses."""
        for other in self.other_formats():
            if not other.live_sessions.are_any_alive():
                other.remove()
            other.live_sessions.close()

    def remove(self) -> None:
        """Remove all files and directories of this format. No process may use them any more."""
        from .filesystem.remove_tree import remove_tree

        for directory in (self.blobs, self.partial, self.sessions, self.scratch):
            remove_tree(directory)
        for name in _FILES:
            files.remove(os.path.join(self.path, name))
        if self.path != self.base:
            remove_tree(self.path)


def is_denied(error: OSError) -> bool:
    """Return whether an error says that this user, or that nobody, may write under the root."""
    is_ours = isinstance(error, UnsafeRootError)
    return error.errno == errno.EROFS or (isinstance(error, PermissionError) and not is_ours)


def denied(base: str, error: OSError) -> UnsafeRootError:
    """Return the error for a root that was usable, and that this user may not write any more."""
    if error.errno == errno.EROFS:
        advice = "Mount its file system for writing"
    else:
        advice = f"Give user {os.geteuid()} all rights on it and on what is in it back"
    return UnsafeRootError(
        f"{base} cannot be used any more: {error.strerror or error} ({error.filename}). {advice}, "
        "or choose another root (root=…, TMPCACHE_ROOT)."
    )


def is_excluded(name: str) -> bool:
    """Return whether an entry of a format's directory is not part of what that format occupies.

    Scratch directories are outside the quota; those of other formats are counted by themselves.
    """
    return name == "scratch" or _is_format(name)


def _is_format(name: str) -> bool:
    """Return whether a directory of this name can be the root of another format: v6."""
    return name[:1] == "v" and name[1:].isascii() and name[1:].isdigit()


def boot_id() -> str:
    """Return the id of the running boot of this machine; "" where the system has none."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError as error:
        reraise_from_handler(error)
        return ""


def make_private(path: str) -> None:
    """Create a directory of mode 0700, or check that an existing one is this user's alone."""
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


def _refuse_read_only(path: str) -> None:
    """Raise ``OSError`` for a directory on a file system that is mounted read-only."""
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)


def _refuse_network(base: str, existing: str) -> None:
    """Refuse a root on a network file system: leases, locks and the log of the index break there.

    Over NFSv4.1 another machine does not see leases in a memory map, and a deleted blob only
    seconds later.
    """
    found = network_file_system(existing)
    if found:
        raise UnsafeRootError(
            f"{base} is refused as a cache directory: it is on a network file system ({found}). "
            "Choose a directory on a local disk as root (root=…, TMPCACHE_ROOT). To share what is "
            "cached between machines, put a pack into S3 (put_pack), and warm each from that."
        )


def _refuse_what_others_may_replace(directory: str) -> None:
    """Refuse a path on which others could rename a directory and put their own in its place.

    sshd does the same with the path to a file of keys. In a directory with the sticky bit, such as
    /tmp, users can rename only what they own.
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
                f"that from them (chmod go-w {above}), make it a directory like /tmp where each "
                f"renames only what is his own (chmod +t {above}), or choose another root (root=…, "
                "TMPCACHE_ROOT)."
            )
        if above == os.path.dirname(above):
            return
        above = os.path.dirname(above)
