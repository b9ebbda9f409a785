"""Copies of cached files for ``fetch --to``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..store.filesystem.copies import fill

if TYPE_CHECKING:
    from .. import CachedFile


def place_for(key: str, to: str) -> str:
    """Return the path to copy an object to: `to`, or a file in it if it is a directory.

    >>> place_for("micr/e13b.npz", "/")
    '/e13b.npz'
    """
    if not os.path.isdir(to) and not to.endswith("/"):
        return to
    name = key.rsplit("/", 1)[-1]
    if name in ("", ".", "..") or "\0" in name:
        raise ConfigError(f"{key!r} ends in no file name: let --to name a file")
    return os.path.join(to, name)


def copied(path: CachedFile, to: str) -> str:
    """Copy a cached file to a path, in one step for whoever looks at it; return that path.

    The copy shares blocks with the cache where the file system can.
    """
    directory, name = os.path.split(to)
    os.makedirs(directory or ".", exist_ok=True)
    temporary = os.path.join(directory, f".{name[:200]}.{os.urandom(6).hex()}")
    mask = os.umask(0o077)
    os.umask(mask)
    try:
        target = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fill(target, path, 0o666 & ~mask)
        os.replace(temporary, to)
    except BaseException:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise
    return to
