"""A virtual environment for each set of requirements, made once and kept outside the tree."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys

from ..measure import progress
from .conversation import PeerFailed
from .roster import TREE, Peer

_DONE = "requirements.txt"
#: Seconds that pip may take for one environment.
_TIME_LIMIT = 600


def default_directory() -> str:
    """Return where the environments are if no argument says so."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(caches, "tmpcache-benchmarks")


def interpreter(peer: Peer, directory: str) -> str:
    """Return a Python that has what `peer` requires.

    Raises :class:`PeerFailed` with pip's reason if it cannot be had.
    """
    if peer.requirements is None:
        return sys.executable
    place = os.path.join(directory, peer.adapter)
    python, done = os.path.join(place, "bin", "python"), os.path.join(place, _DONE)
    wanted = _described(peer.requirements)
    if _read(done) == wanted:
        return python
    progress(f"  making an environment for {peer.name}")
    shutil.rmtree(place, ignore_errors=True)
    try:
        _run(sys.executable, "-m", "venv", place)
        _run(python, "-m", "pip", "install", "--quiet", *peer.requirements)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise PeerFailed(f"cannot be installed: {last}") from error
    except subprocess.TimeoutExpired as error:
        raise PeerFailed(f"cannot be installed within {_TIME_LIMIT} s") from error
    with open(done, "w", encoding="utf-8") as file:
        file.write(wanted)
    return python


def _described(requirements: tuple[str, ...]) -> str:
    lines = [f"# Python {platform.python_version()}", *requirements]
    if "--editable" in requirements:  # what this tree requires is written there
        lines.append(_read(os.path.join(TREE, "pyproject.toml")))
    return "\n".join(lines)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIME_LIMIT)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""
