"""A directory tree of links that mirrors a prefix. Keys are chosen by strangers: none gets out."""

from __future__ import annotations

import os
import shutil
from functools import partial

from .file import CachedFile, cached_file
from .interruption import let_through
from .workspace import NO_LINK, Scratch, reflink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .store.sessions import Lease

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def mirrored(
    files: Mapping[str, CachedFile],
    base: str,
    into: Scratch | str | os.PathLike[str],
    take: Callable[[int], Lease],
) -> dict[str, str]:
    """Link each file to the place below `into` that its key has below `base`.

    The keys for which that cannot be done, and why. What has a place already keeps it. In a
    scratch directory the cached files stay until it goes; `take` leases them for that.
    """
    unlinked = {}
    tree = _Tree(os.fspath(into))
    for key, file in files.items():
        *directories, name = key[len(base) :].split("/")
        try:
            place = tree.enter(directories)
            if name or file.size:  # else it is how consoles write down a directory
                _link(file, place, _part(name), into)
        except NotADirectoryError:
            unlinked[key] = "a file or a link is where its directory would be"
        except FileExistsError:
            unlinked[key] = "something else has its name"
        except OSError as error:
            let_through(error)
            unlinked[key] = error.strerror or str(error)
        except ValueError as error:
            let_through(error)
            unlinked[key] = str(error)
        else:
            if isinstance(into, Scratch):
                copy = file._copy
                into._held.append(cached_file(copy, file.outcome, take(copy.lease_id)))
    return unlinked


class _Directory:
    """An open directory, closed when nobody has it any more."""

    _fds: Sequence[int] = ()

    def __init__(self, path: str, flags: int, above: _Directory | None = None) -> None:
        self._fds = fds = list[int]()
        opening = partial(os.open, dir_fd=None if above is None else above.fd)
        # In one step, in which no signal handler runs: what is open is on the list.
        fds.extend(map(opening, (path,), (flags,)))

    @property
    def fd(self) -> int:
        """Its descriptor."""
        return self._fds[0]

    def __del__(self) -> None:
        for fd in self._fds:
            os.close(fd)


class _Tree:
    """A directory, and the one below it that was entered last.

    It is walked one step at a time, so that nobody's symbolic link leads out of it.
    """

    def __init__(self, top: str) -> None:
        self._top = _Directory(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
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
                here = _Directory(part, _DIRECTORY, here)
            self._here, self._parts = here, parts
        return self._here.fd


def _part(name: str) -> str:
    """A part of a key, if it can be the name of a file or directory."""
    if name in ("", ".", "..") or "\0" in name:
        raise ValueError(f"{name!r} is not a name that a file can have")
    return name


def _link(file: CachedFile, place: int, name: str, into: object) -> None:
    """A hard link, or where there can be none, a copy."""
    try:
        os.link(file, name, dst_dir_fd=place, follow_symlinks=False)
        return
    except FileExistsError:
        if not os.path.samestat(os.lstat(name, dir_fd=place), os.lstat(file)):
            raise
        return
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
    if isinstance(into, Scratch):
        into.reserve(file.size)

    # The descriptor is the file's before any signal handler runs.
    with open(name, "xb", opener=partial(os.open, mode=0o600, dir_fd=place)) as copy:
        try:
            with open(file, "rb") as source:
                if not reflink(source.fileno(), copy.fileno()):
                    shutil.copyfileobj(source, copy, 1024 * 1024)
            os.fchmod(copy.fileno(), 0o444)
        except BaseException:
            os.unlink(name, dir_fd=place)
            raise
