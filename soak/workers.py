"""The workers of a round as processes: forked, stopped, killed and replaced."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from .board import Board
from .forking import fork_worker
from .judge import Judge
from .worker import DUMP, INTERRUPT, Place

#: Seconds without progress after which a worker hangs.
_HANG = 20.0


class Workers:
    """All workers, in slots. A worker that is killed is replaced at once."""

    def __init__(self, place: Place, board: Board, judge: Judge) -> None:
        self._place, self._board, self._judge = place, board, judge
        self._generations = [0] * board.slots
        #: Slots that somebody stopped, beside what :meth:`freeze` stops.
        self._stopped: set[int] = set()
        self._pids = [self._spawn(slot) for slot in range(board.slots)]

    def _spawn(self, slot: int) -> int:
        self._generations[slot] += 1
        return fork_worker(self._place, self._board, slot, self._generations[slot])

    def kill(self, slot: int) -> None:
        """Kill a worker and its children with SIGKILL, and fork a new one."""
        os.killpg(self._pids[slot], signal.SIGKILL)
        _, status = os.waitpid(self._pids[slot], 0)
        self._notice(slot, status)
        self._stopped.discard(slot)
        self._pids[slot] = self._spawn(slot)

    def replace_all(self, meanwhile: Callable[[], object]) -> None:
        """Kill all with SIGKILL, call `meanwhile` while none lives, and fork new ones."""
        for pid in self._pids:
            os.killpg(pid, signal.SIGKILL)
        for slot, pid in enumerate(self._pids):
            self._notice(slot, os.waitpid(pid, 0)[1])
        meanwhile()
        self._stopped.clear()
        self._pids = [self._spawn(slot) for slot in range(len(self._pids))]

    def interrupt(self, slot: int) -> None:
        """Send the signal whose handler raises."""
        os.kill(self._pids[slot], INTERRUPT)

    def stop(self, slot: int) -> None:
        """Stop a worker until it is resumed."""
        self._stopped.add(slot)
        os.killpg(self._pids[slot], signal.SIGSTOP)

    def resume(self, slot: int) -> None:
        """Let it go on, if it was not killed meanwhile."""
        if slot in self._stopped:
            self._stopped.remove(slot)
            self._continue(slot)

    def freeze(self) -> None:
        """Stop all; return when no thread of any runs."""
        for pid in self._pids:
            os.killpg(pid, signal.SIGSTOP)
        for slot, pid in enumerate(self._pids):
            os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            _wait_until_stopped(self._board.get(slot, "child"))

    def thaw(self) -> None:
        """Let all go on but those that somebody else stopped."""
        for slot in range(len(self._pids)):
            if slot not in self._stopped:
                self._continue(slot)

    def _continue(self, slot: int) -> None:
        self._board.beat(slot)
        os.killpg(self._pids[slot], signal.SIGCONT)

    def watch(self) -> None:
        """Replace workers that ended; report and replace workers that hang."""
        for slot, pid in enumerate(self._pids):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._notice(slot, status)
                self._pids[slot] = self._spawn(slot)
                continue
            silent = (time.monotonic_ns() - self._board.get(slot, "beat")) / 1e9
            if silent > _HANG and slot not in self._stopped:
                self._report_hang(slot, silent)
                self.kill(slot)

    def _report_hang(self, slot: int, silent: float) -> None:
        before = _size(self._place.stacks)
        os.kill(self._pids[slot], DUMP)
        time.sleep(0.5)
        with open(self._place.stacks, encoding="utf-8", errors="replace") as file:
            file.seek(before)
            self._judge.report("hang", f"worker {slot}: {silent:.0f} s\n{file.read()[:6000]}")

    def _notice(self, slot: int, status: int) -> None:
        """Report deaths by other signals than ours: SIGBUS, SIGSEGV, SIGABRT."""
        code = os.waitstatus_to_exitcode(status)
        if code < 0 and -code not in (signal.SIGKILL, signal.SIGTERM):
            self._judge.report("crash", f"worker {slot} died of {signal.Signals(-code).name}")

    def end(self) -> None:
        """Have all workers end by themselves, and kill those that do not."""
        for slot in list(self._stopped):
            self.resume(slot)
        for pid in self._pids:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _HANG
        for slot, pid in enumerate(self._pids):
            ended, status = os.waitpid(pid, os.WNOHANG)
            while not ended and time.monotonic() < deadline:
                time.sleep(0.005)
                ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._notice(slot, status)
            else:
                self._report_hang(slot, _HANG)
            try:
                os.killpg(pid, signal.SIGKILL)  # children, too
            except ProcessLookupError:
                continue
            if not ended:
                os.waitpid(pid, 0)


def _wait_until_stopped(child: int) -> None:
    """Wait by /proc until a worker's child, which is no child of this process, is stopped."""
    while child:
        try:
            with open(f"/proc/{child}/stat", encoding="utf-8") as file:
                state = file.read().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state in "TtZX":
            return
        time.sleep(0.0002)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
