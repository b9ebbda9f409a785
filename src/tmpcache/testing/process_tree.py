"""A process with all that it started: stopped, resumed and killed together. Linux only."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

import psutil

#: The states of threads that run none of their program before they take a SIGSTOP that they were
#: sent: stopped, traced, dead, and waiting in the kernel. (A vfork waits there until its child,
#: which may be stopped already, has called exec.)
_AT_REST = frozenset("TtZXD")


def stop(leader: int) -> None:
    """SIGSTOP; return once nothing of the family runs, not even a child forked meanwhile."""
    told: set[psutil.Process] = set()
    while running := {p for p in _family(leader) if p not in told or not _is_at_rest(p.pid)}:
        _signal(running, signal.SIGSTOP)
        told |= running


def resume(leader: int) -> None:
    """SIGCONT."""
    _signal(_family(leader), signal.SIGCONT)


def kill(leader: int) -> None:
    """SIGKILL, stopped first: the children of the dead are nobody's, and would not be found."""
    stop(leader)
    _signal(_family(leader), signal.SIGKILL)


def _family(leader: int) -> set[psutil.Process]:
    """Who is in the process group that `leader` leads, and their descendants.

    Children that moved to a session of their own are found as descendants, children whose parent is
    gone in the group. Only a daemon, which is neither, is not found.
    """
    family: set[psutil.Process] = set()
    for pid in psutil.pids():
        try:
            if os.getpgid(pid) == leader:
                member = psutil.Process(pid)
                family |= {member, *member.children(recursive=True)}
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return family


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _is_at_rest(pid: int) -> bool:
    try:
        stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):  # it ended, or one of its threads did
        return not psutil.pid_exists(pid)
    # "pid (name) state …", and the name may contain anything
    return all(stat.rpartition(") ")[2][0] in _AT_REST for stat in stats)
