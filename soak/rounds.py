"""Runs one round after the other: a quota, a mode, eight workers, and what was found."""

from __future__ import annotations

import gc
import json
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from . import aftermath, disk, server, warmup
from .attacks import Attacks
from .board import Board
from .judge import Judge
from .worker import INTERRUPT, Place, environment
from .workers import Workers

_MIB = 1 << 20
WORKERS = 8
#: Quota in MiB, and what else attacks beside kills: nothing, a cleaner, a vandal.
ROUNDS = [
    *((quota, "") for quota in (1, 6, 40, 150)),
    *((quota, mode) for mode in ("cleaned", "vandalized") for quota in (6, 40)),
]
#: Promises that deleted files may break. Without its session file, a process's paths are not
#: protected until its next call. Without the index, reservations are lost until it is rebuilt.
_GAPS = {"P3", "P4"}


@dataclass
class Result:
    """What a round was, and what came of it."""

    name: str
    quota: int
    seconds: float = 0.0
    #: Attacks by their names, and what the board counted.
    counts: Counter[str] = field(default_factory=Counter)
    #: The most that was on disk, in bytes.
    peak: int = 0
    violations: list[dict[str, Any]] = field(default_factory=list)
    #: What cannot be promised while somebody deletes what proves that a process lives.
    gaps: list[dict[str, Any]] = field(default_factory=list)


def named(quota: int, mode: str) -> str:
    """Return the name of a round."""
    return f"{quota} MiB, {mode}" if mode else f"{quota} MiB"


def run(seed: str, seconds: float, kills: int, rounds: list[tuple[int, str]]) -> Iterator[Result]:
    """Run all rounds, each with its share of time and kills."""
    with tempfile.TemporaryDirectory(prefix="tmpcache-soak-") as base:
        home = os.path.join(base, "home")
        os.mkdir(home)
        with _served(seed, home) as board:
            signal.signal(INTERRUPT, signal.SIG_IGN)  # until a worker has its handler
            warmup.warm_up()
            gc.collect()
            gc.freeze()  # what is here now is shared by all workers
            for number, (quota, mode) in enumerate(rounds):
                place = _place(seed, named(quota, mode), quota * _MIB, base, number)
                yield _round(place, board, seconds / len(rounds), kills // len(rounds), mode)


def _place(seed: str, name: str, quota: int, base: str, number: int) -> Place:
    directory = os.path.join(base, f"round-{number}")
    os.mkdir(directory)
    inside, outside, log, stacks = (
        os.path.join(directory, part) for part in ("cache", "outside", "log", "stacks")
    )
    disk.make_outside(outside)
    return Place(seed, name, inside, quota, outside, log, stacks)


@contextmanager
def _served(seed: str, home: str) -> Iterator[Board]:
    """Run the server of all rounds, named by the environment; yield the board that it goes by."""
    board, before = Board(WORKERS), dict(os.environ)
    pid, port = server.start(seed, board)
    for name in list(os.environ):
        if name.startswith(("AWS_", "BOTO_", "TMPCACHE_")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.update(environment(port, home))
    try:
        yield board
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.environ.clear()
        os.environ.update(before)


def _round(place: Place, board: Board, seconds: float, kills: int, mode: str) -> Result:
    board.clear()
    judge = Judge(place.log, board, 0, place.root, seed=place.seed, round=place.round)
    judge.operation = "the round"
    before, begun = disk.fingerprint(place.outside), time.monotonic()
    workers = Workers(place, board, judge)
    attacks = Attacks(place, workers, judge, board.slots)
    try:
        attacks.run(seconds, kills, mode)
    finally:
        workers.end()
    result = Result(place.round, place.quota, time.monotonic() - begun, peak=attacks.peak)
    result.counts.update(attacks.counts + Counter(board.totals()))
    board.honest = True
    judge.operation = "the aftermath"
    aftermath.check(place, judge)
    if disk.fingerprint(place.outside) != before:
        judge.report("P9", "something outside the root was touched")
    with open(place.log, encoding="utf-8") as log:
        for line in log:
            violation = json.loads(line)
            is_gap = mode == "vandalized" and violation["promise"] in _GAPS
            (result.gaps if is_gap else result.violations).append(violation)
    return result
