"""Whether a root can be used: whose it is, and what its file system can do.

Each probe does the very thing that the store does later, in a scratch directory.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time

from ..common.finding import Finding
from ..common.handler_exceptions import reraise_from_handler
from .filesystem.copies import reflink
from .filesystem.descriptor import Descriptor
from .leases.file_lock import try_lock
from .root import Root
from .scratch_directories import Scratches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: File systems on other machines: SQLite and locks are slow or wrong there, and /tmp is not shared.
_REMOTE = ("9p", "afs", "ceph", "cifs", "fuse.sshfs", "lustre", "nfs", "nfs4", "smb3", "smbfs")
#: Seconds that a file's time may differ from the clock: some systems keep times by two seconds.
_CLOCK_SKEW = 3.0
_CHOOSE = "choose a directory on a local disk (--root, TMPCACHE_ROOT)"


def findings(base: str) -> Iterator[Finding]:
    """Look at the root at `base`, and make it if there is none; yield what is found.

    The first finding is about the root itself. If it is refused, there are no others.
    """
    root = Root(base)
    try:
        root.prepare()
        directory = Scratches(root).new()
    except OSError as error:
        reraise_from_handler(error)
        yield Finding("root", False, str(error), "" if ". " in str(error) else _CHOOSE)
        return
    try:
        yield Finding("root", True, base)
        yield _owner(base)
        yield file_system(base)
        for subject, probe, good, bad in _PROBES:
            yield _tried(subject, probe, directory.path, good, bad)
        yield _reflinks(directory.path)
        yield _clock(directory.path)
    finally:
        directory.remove()
        root.close()


def _owner(base: str) -> Finding:
    status = os.lstat(base)
    return Finding("owner", True, f"user {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o}")


def file_system(base: str, table: str = "/proc/self/mounts") -> Finding:
    """Return what kind of file system a path is on, by a table of mounts."""
    kind, mountpoint = mounted_at(os.path.realpath(base), table)
    if not kind:
        return Finding("file system", None, "this system does not say")
    found = f"{kind}, mounted at {mountpoint}"
    if kind in _REMOTE:
        return Finding("file system", False, f"{found}: on another machine", _CHOOSE)
    return Finding("file system", True, f"{found}{': in memory' if kind == 'tmpfs' else ''}")


def mounted_at(path: str, table: str) -> tuple[str, str]:
    """Return type and mount point of the file system that a path is on; ("", "") if unknown."""
    best = ("", "")
    try:
        with open(table, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                _, mountpoint, kind = line.split()[:3]
                mountpoint = mountpoint.encode().decode("unicode_escape")  # "\\040" is a space
                is_above = path == mountpoint or path.startswith(mountpoint.rstrip("/") + "/")
                if is_above and len(mountpoint) >= len(best[1]):
                    best = kind, mountpoint
    except (OSError, ValueError) as error:
        reraise_from_handler(error)
    return best


def _tried(
    subject: str, probe: Callable[[str], bool], directory: str, good: str, bad: str
) -> Finding:
    try:
        is_well, why = probe(directory), ""
    except OSError as error:
        reraise_from_handler(error)
        is_well, why = False, f" ({error.strerror})"
    return Finding(subject, True, good) if is_well else Finding(subject, False, bad + why, _CHOOSE)


def _create(path: str) -> Descriptor:
    return Descriptor(path, os.O_RDWR | os.O_CREAT)


def _flock_excludes(directory: str) -> bool:
    with _create(f"{directory}/lock") as one, _create(f"{directory}/lock") as other:
        return try_lock(one.fd) and not try_lock(other.fd)


def _posix_locks_work(directory: str) -> bool:
    with _create(f"{directory}/record") as file:
        fcntl.lockf(file.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return True


def _links_work(directory: str) -> bool:
    _create(f"{directory}/file").close()
    os.link(f"{directory}/file", f"{directory}/link")
    return os.lstat(f"{directory}/link").st_nlink == 2


_PROBES = (
    ("locks", _flock_excludes, "flock excludes others", "flock does not exclude others"),
    ("index locks", _posix_locks_work, "SQLite's locks work", "SQLite's locks do not work"),
    ("hard links", _links_work, "work", "do not work"),
)


def _reflinks(directory: str) -> Finding:
    """A file system without them is no worse for a cache: only copies cost what they hold."""
    with _create(f"{directory}/whole") as one, _create(f"{directory}/clone") as other:
        os.pwrite(one.fd, bytes(4096), 0)
        if reflink(one.fd, other.fd):
            return Finding("reflinks", True, "work: copies share their blocks")
    return Finding("reflinks", None, "not here: a copy takes as much room as its original")


def _clock(directory: str) -> Finding:
    with _create(f"{directory}/time") as file:
        os.pwrite(file.fd, b"x", 0)
        skew = abs(os.fstat(file.fd).st_mtime - time.time())
    if skew > _CLOCK_SKEW:
        found = f"file times are {skew:.0f} s off the clock"
        return Finding("file times", False, found, "set the clocks of both machines")
    return Finding("file times", True, "agree with the clock")
