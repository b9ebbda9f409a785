"""Stop, resume and kill a process together with all processes that it started. Linux only."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

import psutil

#: States of a thread that executes none of its program before it receives a SIGSTOP that was sent
#: to it: stopped, traced, dead, and waiting in the kernel. (A vfork waits there until its child,
#: which may be stopped already, has called exec.)
_STOPPED = frozenset("TtZXD")


def stop(leader: int) -> None:
    """Send SIGSTOP to all; return once none of them runs, not even a child forked meanwhile."""
    signalled: set[psutil.Process] = set()
    while running := {p for p in _tree(leader) if p not in signalled or not _is_stopped(p.pid)}:
        _signal(running, signal.SIGSTOP)
        signalled |= running


def resume(leader: int) -> None:
    """Send SIGCONT to all."""
    _signal(_tree(leader), signal.SIGCONT)


def kill(leader: int) -> None:
    """Stop all, then send SIGKILL to all.

    If a parent were killed first, a child that it had just forked would be no descendant any more,
    and would not be found.
    """
    stop(leader)
    _signal(_tree(leader), signal.SIGKILL)


def _tree(leader: int) -> set[psutil.Process]:
    """Return the processes in the group of `leader`, and their descendants.

    A child that moved to a session of its own is found as a descendant, and one whose parent has
    ended in the group. Only a daemon, which is neither, is not found.
    """
    tree: set[psutil.Process] = set()
    for pid in psutil.pids():
        try:
            if os.getpgid(pid) == leader:
                member = psutil.Process(pid)
                tree |= {member, *member.children(recursive=True)}
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return tree


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _is_stopped(pid: int) -> bool:
    """Return whether no thread of a process runs, or the process has ended."""
    try:
        stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):  # the process or one of its threads ended
        return not psutil.pid_exists(pid)
    # A line is "pid (name) state …", and the name may contain anything.
    return all(stat.rpartition(") ")[2][0] in _STOPPED for stat in stats)
