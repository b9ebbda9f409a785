"""A directory tree of links that mirrors a prefix.

Others choose the keys, so no key may lead out of the tree: it is walked one component at a time,
and no symbolic link in it is followed.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from functools import partial

from ...cached_file import CachedFile, cached_file
from ...common.handler_exceptions import reraise_from_handler
from ...errors import QuotaExceededError
from ...invocations.scratch import NO_LINK, Scratch, on_disk, retry_evicting
from ...store.filesystem.copies import fill
from ...store.filesystem.descriptor import DIRECTORY, Descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from ...store import Store

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
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

    Return the keys for which that cannot be done, and why. Nothing is overwritten. A scratch
    directory keeps leases on the cached files until it is removed.

    Raises :class:`~tmpcache.errors.QuotaExceededError` if a scratch directory has no room.
    """
    unlinked = {}
    with _Tree(os.fspath(into)) as tree:
        for key, file in files.items():
            *directories, name = key[len(base) :].split("/")
            try:
                put = partial(_put, tree, file, directories, name, into, copies)
                if isinstance(into, Scratch):
                    retry_evicting(store, f"{key} in a scratch directory", put)
                else:
                    put()
            except QuotaExceededError:  # there is no room for the others either
                raise
            except NotADirectoryError:
                unlinked[key] = "a file or a link is where its directory would be"
            except FileExistsError:
                unlinked[key] = "something else has its name"
            except OSError as error:
                reraise_from_handler(error)
                unlinked[key] = error.strerror or str(error)
            except ValueError as error:
                reraise_from_handler(error)
                unlinked[key] = str(error)
            else:
                if isinstance(into, Scratch):
                    copy = file._copy
                    into._held.append(cached_file(copy, file.outcome, store.lease(copy.lease_id)))
    return unlinked


def _put(
    tree: _Tree, file: CachedFile, directories: list[str], name: str, into: object, copies: bool
) -> None:
    """Link or copy a file to a place in the tree; create the directories on the way."""
    place = tree.enter(directories)
    if (
        name or file.size
    ):  # else it is the empty object with which consoles stand in for a directory
        _give(file, place, _file_name(name), into, copies)


class _Tree:
    """A directory, and the directory below it that was entered last, both open."""

    def __init__(self, top: str) -> None:
        # A Descriptor follows no link, and the caller's `into` may be one.
        self._top = Descriptor(os.path.realpath(top), DIRECTORY)
        self._entered = self._top
        #: The names that lead to it; None if it may be any.
        self._names: list[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()
        self._top.close()

    def enter(self, names: list[str]) -> int:
        """Return a descriptor of the directory that the names lead to; make it if need be."""
        if names != self._names:
            self._leave()
            for name in names:
                self._go_down(_file_name(name))
            self._names = names
        return self._entered.fd

    def _leave(self) -> None:
        """Go back to the top."""
        entered, self._entered, self._names = self._entered, self._top, None
        if entered is not self._top:
            entered.close()

    def _go_down(self, name: str) -> None:
        """Enter a directory below; make it if need be."""
        above = self._entered
        try:
            os.mkdir(name, 0o700, dir_fd=above.fd)
            os.chmod(name, 0o700, dir_fd=above.fd)  # whatever the umask
        except FileExistsError:
            pass
        self._entered = Descriptor(name, DIRECTORY, dir_fd=above.fd)
        if above is not self._top:
            above.close()


def _file_name(name: str) -> str:
    """Return a component of a key as a file name, or raise `ValueError` if it cannot be one."""
    if name in ("", ".", "..") or "\0" in name:
        raise ValueError(f"{name!r} is not a name that a file can have")
    return on_disk(name)


def _give(file: CachedFile, place: int, name: str, into: object, copies: bool) -> None:
    """Put the file into a directory: as a hard link, or as a copy if asked or if need be."""
    try:
        if not copies:
            os.link(file, name, dst_dir_fd=place, follow_symlinks=False)
            return
    except OSError as error:
        reraise_from_handler(error)
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
    """Return whether an earlier call put the file there that has the name."""
    there = os.lstat(name, dir_fd=place)
    if os.path.samestat(there, os.lstat(file)):
        return not copies
    if not stat.S_ISREG(there.st_mode) or there.st_size != file.size:
        return False
    with open(os.open(name, _READ, dir_fd=place), "rb") as one, open(file, "rb") as other:
        return all(one.read(len(chunk)) == chunk for chunk in iter(lambda: other.read(_CHUNK), b""))
