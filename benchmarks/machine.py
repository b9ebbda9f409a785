"""The facts about a machine without which its numbers say little."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import version

from tmpcache import __version__


def facts(server: str) -> dict[str, str]:
    """Versions and sizes, to be printed above the results."""
    return {
        "tmpcache": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": f"{os.cpu_count()} ({_load():.1f} busy before this run)",
        "boto3": version("boto3"),
        "sqlite": sqlite3.sqlite_version,
        "xxhash": version("xxhash"),
        "S3": server,
    }


def _load() -> float:
    """Processes that wanted to run, on average of the last minute."""
    return os.getloadavg()[0]
