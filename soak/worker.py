"""One process that uses the cache over and over, until it is killed or gets SIGTERM."""

from __future__ import annotations

import faulthandler
import gc
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from tmpcache import Cache, CachedFile

from . import contents
from .board import Board
from .judge import Asked, Interrupted, Judge

#: Signals: to interrupt a call, and to have the stacks of all threads written down.
INTERRUPT, DUMP = signal.SIGUSR1, signal.SIGUSR2
#: Credentials that come again, so that one worker meets what another was given.
_REGULARS = [f"AKIAREGULAR{number}" for number in range(6)]


@dataclass(frozen=True)
class Place:
    """Where a round happens; the same for all its workers."""

    seed: str
    round: str
    root: str
    quota: int
    #: A directory beside the root that nothing may touch, the log, and the dumped stacks.
    outside: str
    log: str
    stacks: str


class Worker:
    """What a process uses: a cache, credentials, and paths that it holds."""

    def __init__(self, place: Place, board: Board, slot: int, generation: int) -> None:
        self.place, self.board, self.slot = place, board, slot
        self.dice = random.Random(f"{place.seed} {place.round} {slot} {generation}")
        self.judge = Judge(
            place.log,
            board,
            slot,
            place.root,
            seed=place.seed,
            round=place.round,
            worker=f"{slot}.{generation}",
        )
        self.origin = ("direct", "boto3", "obstore")[slot % 3]
        #: Held paths, and until when.
        self.held: list[tuple[CachedFile, float]] = []
        #: Whether a signal may raise, at which stack one did, and whether to end.
        self._armed, self._struck, self._ending = False, "", False
        self.cache = self.open()

    # ---- the cache and its credentials -------------------------------------------------------

    def open(self) -> Cache:
        """Open a cache with other credentials, some of which no worker has had before."""
        stranger = f"AKIASTRANGER{self.dice.randrange(10**9)}"
        self.access_key = self.dice.choice([*_REGULARS, stranger])
        os.environ["AWS_ACCESS_KEY_ID"] = self.access_key
        return Cache(self.place.root, quota=self.place.quota, origin=self.origin, lock_timeout=5)

    def asked(self, max_age: float = 0, version_id: str | None = None) -> Asked:
        """Return what an answer to a call that begins now has to fit."""
        return Asked(self.access_key, time.time(), max_age, version_id)

    def answered(self, file: CachedFile, asked: Asked) -> None:
        """Check an answer; hold some of them for a while."""
        self.judge.answered(file, asked)
        held = sum(one.size for one, _ in self.held)
        if self.dice.random() < 0.3 and held + file.size <= self.place.quota // 20:
            self.held.append((file, time.monotonic() + self.dice.uniform(0.1, 5)))

    def reread(self) -> None:
        """Let go of what was held long enough; look at some of the rest."""
        now = time.monotonic()
        self.held = [one for one in self.held if one[1] > now]
        for file, _ in self.dice.sample(self.held, min(2, len(self.held))):
            self.judge.whole(file, file)

    # ---- signals -----------------------------------------------------------------------------

    def prepare(self) -> None:
        """Take signals as this process shall."""
        signal.signal(INTERRUPT, self._interrupt)
        signal.signal(signal.SIGTERM, self._end)
        stacks = os.open(self.place.stacks, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        faulthandler.enable(stacks)
        faulthandler.register(DUMP, stacks, all_threads=True)
        sys.unraisablehook = self._unraisable

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._armed:  # once for each call, and never in what comes between
            self._armed = False
            self._struck = "struck:\n" + "".join(traceback.format_stack(frame)[-8:]) + "\n"
            self.board.add(self.slot, "interrupted")
            raise Interrupted

    def disarm(self) -> None:
        """Let the rest of this operation be uninterrupted."""
        self._armed = False

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._ending = True

    def _unraisable(self, unraisable: Any) -> None:
        error = unraisable.exc_value
        if isinstance(error, Interrupted):  # in a finalizer; Python drops it
            self._struck = ""
        elif not (type(error) is KeyError and isinstance(error.args[0], threading.Thread)):
            # A handler that raises at the end of `Thread.start` has threading take that for a
            # failure, and the thread cannot find itself on the list that it was taken from.
            self.judge.report("errors", f"unraisable {error!r}")

    # ---- life --------------------------------------------------------------------------------

    def live(self, operations: dict[Callable[[Worker], None], float]) -> None:
        """Perform one operation after another."""
        choices, weights = list(operations), list(operations.values())
        while not self._ending:
            operation = self.dice.choices(choices, weights)[0]
            self.board.beat(self.slot)
            self.judge.operation = operation.__name__
            self._perform(operation)
            self.board.add(self.slot, "operations")
            self.judge.quiet()
            self.reread()
        self.finish()

    def _perform(self, operation: Callable[[Worker], None]) -> None:
        failure, self._struck = None, ""
        try:
            self._armed = True
            operation(self)
            self._armed = False
        except Exception as error:
            self._armed, failure = False, error
        if self._struck:
            self.judge.interrupted(failure, self._struck)
        elif failure is not None:
            self.judge.raised(failure)

    def finish(self) -> None:
        """Let go of everything; then nothing of the cache may be open."""
        self.held.clear()
        self.cache.close()
        gc.collect()
        self.judge.closed()


def environment(port: int, home: str) -> dict[str, str]:
    """Return the environment of workers: the server, and short time limits."""
    return {
        "HOME": home,
        "AWS_ACCESS_KEY_ID": contents.AUDITOR,
        "AWS_SECRET_ACCESS_KEY": "soak",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "2",
        # It signs by a callback from C: an exception of a signal's handler in there is lost, and
        # botocore waits for ever.
        "BOTO_DISABLE_CRT": "true",
    }
