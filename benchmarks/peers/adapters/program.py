"""For peers that are programs: run one, and see how much memory it takes."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from threading import Event, Thread

from .protocol import memory

#: Seconds between two looks. A program's peak so far is looked at, so that none is missed but
#: what comes in the last moment.
_INTERVAL = 0.01


def run(
    command: Sequence[str], environment: Mapping[str, str] | None = None, typed: str = ""
) -> int:
    """Run a program, with `typed` on its standard input; the most memory it took, in bytes.

    Its parent's resource usage would not tell: Linux counts into a child's ``ru_maxrss`` what the
    parent occupied when it was forked, which is more than curl takes.

    Raises OSError with what it wrote to its standard error, if it fails.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )
    peaks, over = [memory("VmHWM", process.pid)], Event()

    def watch() -> None:
        while not over.wait(_INTERVAL):
            peaks.append(memory("VmHWM", process.pid))

    watcher = Thread(target=watch)
    watcher.start()
    try:
        _, complaint = process.communicate(typed)
    finally:
        over.set()
        watcher.join()
    if process.returncode:
        raise OSError(f"{command[0]} ended with {process.returncode}: {complaint}")
    return max(peaks)
