"""A directory tree of links that mirrors a prefix. Keys are chosen by strangers: none gets out."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from functools import partial

from ...cached_file import CachedFile, cached_file
from ...common.interruption import reraise_interrupt
from ...errors import QuotaExceededError
from ...invocations.scratch import NO_LINK, Scratch, fill, on_disk, retry_evicting
from ...store.filesystem.files import DIRECTORY, Descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...store import Store

_THERE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1024 * 1024
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def mirrored(
    files: Mapping[str, CachedFile],
    base: str,
    into: Scratch | str | os.PathLike[str],
    store: Store,
    *,
    copies: bool = False,
) -> dict[str, str]:
    """Link or copy each file to the place below `into` that its key has below `base`.

    The keys for which that cannot be done, and why. What has a place already keeps it. In a
    scratch directory the cached files stay until it goes.

    Raises :class:`~tmpcache.errors.QuotaExceededError` if a scratch directory has no room.
    """
    unlinked = {}
    tree = _Tree(os.fspath(into))
    for key, file in files.items():
        *directories, name = key[len(base) :].split("/")
        try:
            put = partial(_put, tree, file, directories, name, into, copies)
            if isinstance(into, Scratch):
                retry_evicting(store, f"{key} in a scratch directory", put)
            else:
                put()
        except QuotaExceededError:  # is about all of them
            raise
        except NotADirectoryError:
            unlinked[key] = "a file or a link is where its directory would be"
        except FileExistsError:
            unlinked[key] = "something else has its name"
        except OSError as error:
            reraise_interrupt(error)
            unlinked[key] = error.strerror or str(error)
        except ValueError as error:
            reraise_interrupt(error)
            unlinked[key] = str(error)
        else:
            if isinstance(into, Scratch):
                copy = file._copy
                into._held.append(cached_file(copy, file.outcome, store.lease(copy.lease_id)))
    return unlinked


def _put(
    tree: _Tree, file: CachedFile, directories: list[str], name: str, into: object, copies: bool
) -> None:
    place = tree.enter(directories)
    if name or file.size:  # else it is how consoles write down a directory
        _give(file, place, _part(name), into, copies)


class _Tree:
    """A directory, and the one below it that was entered last.

    It is walked one step at a time, so that nobody's symbolic link leads out of it.
    """

    def __init__(self, top: str) -> None:
        # A Descriptor follows no link, and the caller's `into` may be one.
        self._top = Descriptor(os.path.realpath(top), DIRECTORY)
        self._parts: list[str] = []
        self._here = self._top

    def enter(self, parts: list[str]) -> int:
        """A descriptor of the directory that the parts lead to, made if need be."""
        if parts != self._parts:
            here = self._top
            for part in map(_part, parts):
                try:
                    os.mkdir(part, 0o700, dir_fd=here.fd)
                    os.chmod(part, 0o700, dir_fd=here.fd)  # whatever the umask
                except FileExistsError:
                    pass
                here = Descriptor(part, DIRECTORY, dir_fd=here.fd)
            self._here, self._parts = here, parts
        return self._here.fd


def _part(name: str) -> str:
    """A part of a key, if it can be the name of a file or directory."""
    if name in ("", ".", "..") or "\0" in name:
        raise ValueError(f"{name!r} is not a name that a file can have")
    return on_disk(name)


def _give(file: CachedFile, place: int, name: str, into: object, copies: bool) -> None:
    """Make the file be there: as a hard link, or, where there can be none or shall be, a copy."""
    try:
        if not copies:
            os.link(file, name, dst_dir_fd=place, follow_symlinks=False)
            return
    except OSError as error:
        reraise_interrupt(error)
        if error.errno not in NO_LINK and not isinstance(error, FileExistsError):
            raise
    try:
        target = os.open(name, _NEW_FILE, 0o600, dir_fd=place)
    except FileExistsError:
        if not _is_there(file, place, name, copies):
            raise
        return
    try:
        if isinstance(into, Scratch):
            into.reserve(file.size)
        fill(target, file, 0o444)
    except BaseException:
        with suppress(OSError):
            os.unlink(name, dir_fd=place)
        raise


def _is_there(file: CachedFile, place: int, name: str, copies: bool) -> bool:
    """Whether what has the name is what an earlier call has put there."""
    there = os.lstat(name, dir_fd=place)
    if os.path.samestat(there, os.lstat(file)):
        return not copies
    if not stat.S_ISREG(there.st_mode) or there.st_size != file.size:
        return False
    with open(os.open(name, _THERE, dir_fd=place), "rb") as one, open(file, "rb") as other:
        return all(one.read(len(chunk)) == chunk for chunk in iter(lambda: other.read(_CHUNK), b""))
