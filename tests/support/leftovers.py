"""What a call has left in this process: threads, open files, leases and locks."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tmpcache import Cache


def threads_of_ours() -> list[str]:
    """Return names of our threads, once those that are about to end have ended.

    Those that coroutines run in are left out: they stay, idle, for the next coroutine.
    """
    give_up_at = time.monotonic() + 2
    while True:
        names = [one.name for one in threading.enumerate() if one.name.startswith("tmpcache ")]
        if not names or time.monotonic() > give_up_at:
            return names
        time.sleep(0.002)


def flights_of(cache: Cache) -> int:
    """Return how many shared calls are under way."""
    return len(cache._fetcher._single_flight) + len(cache._loaded._single_flight)


def descriptors(root: Path) -> list[str]:
    """Return what is open under the root, but for the index and the session, which stay open."""
    kinds = (target.split("/")[0] for target in _open_under(root))
    stays = ("changes", "sessions", "index")
    return sorted(kind for kind in kinds if not kind.startswith(stays))


def _open_under(directory: Path) -> Iterator[str]:
    """Yield the targets of open descriptors inside a directory, relative to it."""
    for entry in os.scandir("/proc/self/fd"):
        try:
            target = os.readlink(entry.path)
        except FileNotFoundError:
            continue
        if target.startswith(f"{directory}/"):
            yield target[len(str(directory)) + 1 :]


def leases(cache: Cache) -> int:
    """Return how many leases the table of this process has."""
    session = cache._store.database._index.session
    return 0 if session is None else sum(slot != 0 for slot in session.table[65:])


def locked_partials(root: Path) -> int:
    """Return how many partials are locked."""
    found = 0
    for path in (root / "partial").iterdir():
        fd = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found += 1
        finally:
            os.close(fd)
    return found


def mirrors(root: Path) -> list[str]:
    """Return what is open beside the root, where links are made."""
    return [target for target in _open_under(root.parent) if target.startswith("into")]
