"""Copies of files, which share blocks where the file system can."""

from __future__ import annotations

import os
import shutil

from ...common.handler_exceptions import reraise_from_handler


def fill(target: int, found: str | os.PathLike[str], mode: int) -> None:
    """Copy a file into a new, open file, and close that."""
    with open(target, "wb") as copy, open(found, "rb") as source:
        if not reflink(source.fileno(), target):
            shutil.copyfileobj(source, copy, 1024 * 1024)
        os.fchmod(target, mode)  # whatever the umask


def reflink(source: int, target: int) -> bool:
    """Have a file share the blocks of another. Return False if the file system cannot."""
    import fcntl

    ficlone = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)
    try:
        fcntl.ioctl(target, ficlone, source)
    except OSError as error:
        reraise_from_handler(error)
        return False
    return True
