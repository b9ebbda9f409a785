"""From the start of a process to its first object: each measurement is a whole process."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Timer

from ..machine import facts
from ..server import BUCKET, Server
from .conversation import PeerFailed, last_words
from .environments import interpreter
from .record import Record, Row
from .roster import NOTHING, Peer
from .works import Work

#: Seconds for one process.
_TIME_LIMIT = 60.0
_BEFORE = "import sys; bucket, key, directory = sys.argv[1:]; "
_AFTER = "; import os; os.write(1, body)"


def record_starts(
    work: Work, server: Server, peers: tuple[Peer, ...], directory: str, environments: str
) -> Record:
    """Return what each peer took in each round, after one round that is not counted.

    That round compiles what is imported, as whoever packs a function does.
    """
    day, machine = time.strftime("%Y-%m-%d"), facts(server.name, directory)
    rows = {peer.name: Row() for peer in peers}
    for number in range(-1, work.rounds):
        content = os.urandom(work.size)
        key = server.put(f"peers/{work.name}/{number}", content)
        for peer in peers if number % 2 else reversed(peers):
            row = rows[peer.name]
            if not row.failed:
                _take_turn(peer, row, key, content, directory, environments)
        if number < 0:
            for row in rows.values():
                row.seconds.clear()
        os.remove(os.path.join(server.objects, BUCKET, key))
    return Record(work.name, work.title, day, machine, rows)


def _take_turn(
    peer: Peer, row: Row, key: str, content: bytes, directory: str, environments: str
) -> None:
    place = tempfile.mkdtemp(dir=directory)
    try:
        python = interpreter(peer, environments)
        seconds, body = _run(python, peer, key, len(content), place)
        if body != content and peer.program != NOTHING:
            raise PeerFailed(f"wrong bytes of {key}")
    except PeerFailed as reason:
        row.failed = str(reason)
    else:
        row.seconds.append(seconds)
    finally:
        shutil.rmtree(place)


def _run(python: str, peer: Peer, key: str, size: int, directory: str) -> tuple[float, bytes]:
    """Run the program of a peer; the seconds until its bytes are here or it has ended, and they."""
    program = NOTHING if peer.program == NOTHING else _BEFORE + peer.program + _AFTER
    log = os.path.join(directory, "log")
    with open(log, "wb") as errors:
        start = time.perf_counter()
        with subprocess.Popen(
            [python, "-c", program, BUCKET, key, directory],
            stdout=subprocess.PIPE,
            stderr=errors,
            env=_environment(peer, directory),
        ) as process:
            assert process.stdout is not None
            with _time_limit(process):
                body = process.stdout.read(size)
                seconds = time.perf_counter() - start
                process.wait()
    if process.returncode:
        raise PeerFailed(f"its process ended: {last_words(log)}")
    return seconds, body


@contextmanager
def _time_limit(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill a process that has not ended in time."""
    timer = Timer(_TIME_LIMIT, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _environment(peer: Peer, directory: str) -> Mapping[str, str]:
    """Return the environment of a process: modules are compiled once, the cache is empty."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **peer.environment, "TMPCACHE_ROOT": os.path.join(directory, "cache")}
