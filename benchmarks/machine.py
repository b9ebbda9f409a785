"""The facts about a machine without which its numbers say little."""

from __future__ import annotations

import os
import platform
import sqlite3
from contextlib import suppress
from importlib.metadata import version

from tmpcache import __version__


def facts(server: str, directory: str) -> dict[str, str]:
    """Return versions, sizes, and the file system of `directory`, to print with the results."""
    return {
        "tmpcache": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": f"{os.cpu_count()} ({_load():.1f} busy before this run)",
        "boto3": version("boto3"),
        "sqlite": sqlite3.sqlite_version,
        "xxhash": version("xxhash"),
        "S3": server,
        "files": _file_system(directory),
    }


def _load() -> float:
    """Return how many processes wanted to run, on average of the last minute."""
    return os.getloadavg()[0]


def _file_system(directory: str) -> str:
    """Return the type of the file system that a directory is on, as Linux names it."""
    place, found = os.path.join(os.path.realpath(directory), ""), ("", "unknown")
    with suppress(FileNotFoundError), open("/proc/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            _, mount, kind, *_ = line.split(" ")
            if place.startswith(os.path.join(mount, "")):
                found = max(found, (mount, kind), key=lambda one: len(one[0]))
    return found[1]
