"""How a worker becomes a process."""

from __future__ import annotations

import os

from .board import Board
from .judge import Judge
from .operations import OPERATIONS
from .worker import Place, Worker


def fork_worker(place: Place, board: Board, slot: int, generation: int) -> int:
    """Fork a worker and return its process id.

    The worker leads a process group of its own, so that one signal reaches its children, too.
    """
    board.beat(slot)
    board.set(slot, "child", 0)
    pid = os.fork()
    if pid:
        _lead_group(pid)
        return pid
    status = 70
    try:
        _lead_group(0)
        worker = Worker(place, board, slot, generation)
        worker.prepare()
        worker.live(OPERATIONS)
        status = 0
    except BaseException as error:
        log = Judge(place.log, board, slot, place.root, seed=place.seed, round=place.round)
        log.report("errors", f"a worker could not go on: {error!r}", error)
    finally:
        os._exit(status)


def _lead_group(pid: int) -> None:
    """Make a process the leader of its group. Parent and child do it, as either may be first."""
    try:
        os.setpgid(pid, pid)
    except (PermissionError, ProcessLookupError):
        return
