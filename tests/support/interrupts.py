"""Raises exceptions as signal handlers do: at each possible moment, or at a random one.

CPython runs signal handlers in the main thread, after a call, at the entry of a function and at a
jump backward. A trace function that raises there is just that, without the chance.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dis import opname
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, BinaryIO

import tmpcache
from support.leftovers import (
    descriptors,
    flights_of,
    leases,
    locked_partials,
    mirrors,
    threads_of_ours,
)
from support.shelf import Shelf
from tmpcache import Cache

_PACKAGE = os.path.dirname(tmpcache.__file__)
#: Seconds after which a call hangs.
HANGS_AFTER = 20.0
MIB = 1 << 20


class TimeIsUp(TimeoutError):
    """What a time limit raises: an Exception, even an OSError, as an alarm's or celery's."""

    #: Whether it was raised in a finalizer, which ended there; Python drops it.
    was_dropped = False


class Points:
    """Counts the moments at which a handler may run in our code, and raises at one of them."""

    def __init__(self, raise_at: int = -1) -> None:
        self.count, self._raise_at = 0, raise_at
        self._was_call: dict[FrameType, bool] = {}
        self._codes: dict[CodeType, bytes] = {}
        #: Where it raised.
        self.place = ""
        #: Whether Python dropped what was raised, and did not run a finalizer to its end.
        self.was_dropped = False

    def run(self, call: Callable[[], object]) -> None:
        """Run the call, interrupted if it comes to the point."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            call()
        finally:
            sys.settrace(before)
            self._was_call.clear()

    def _enter(self, frame: FrameType, event: str, arg: Any) -> Any:
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        self._point(frame)
        return self._step

    def _step(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "opcode":
            code = self._codes.get(frame.f_code)
            if code is None:
                code = self._codes[frame.f_code] = frame.f_code.co_code
            name = opname[code[frame.f_lasti]]
            if self._was_call.get(frame) or name.startswith("JUMP_BACKWARD"):
                self._point(frame)
            self._was_call[frame] = name.startswith("CALL")
        elif event in ("return", "exception"):  # no handler runs after a call that has raised
            self._was_call.pop(frame, None)
        return self._step

    def _point(self, frame: FrameType) -> None:
        if "__del__" in _names(frame):  # Python drops what is raised there
            return
        if frame.f_lineno is None:  # 3.11 never frees a frame in which a trace raises there
            return
        self.count += 1
        if self.count == self._raise_at:
            file = os.path.relpath(frame.f_code.co_filename, _PACKAGE)
            self.place = f"{file}:{frame.f_lineno} {frame.f_code.co_qualname}"
            raise TimeIsUp(self.place)


def _names(frame: FrameType | None) -> Iterator[str]:
    """Yield the names of all functions, from the inside out."""
    while frame is not None:
        yield frame.f_code.co_name
        frame = frame.f_back


def _forward(problem: Any, forward: Callable[[Any], object]) -> None:
    """Pass on what was raised where nobody can catch it, but for threading's own tidying up.

    If a handler raises at the end of the call that makes a thread, `Thread.start` takes it for a
    failure, and the thread cannot find itself on the list that it was taken from.
    """
    if not (isinstance(problem.exc_value, KeyError) and "tmpcache" in str(problem.exc_value)):
        forward(problem)


@contextmanager
def alarm(seconds: float, error: BaseException) -> Iterator[None]:
    """Have a real signal's handler raise `error` in the main thread after `seconds`, once.

    No garbage is collected meanwhile: what a handler raises in a finalizer, Python drops. The last
    reference may still go at that instant; such a loss is Python's, and is not reported.
    """

    def handler(number: int, frame: FrameType | None) -> None:
        raise error

    before_hook = sys.unraisablehook

    def hook(problem: Any) -> None:
        if problem.exc_value is not error:
            _forward(problem, before_hook)
        elif isinstance(error, TimeIsUp):
            error.was_dropped = True

    sys.unraisablehook = hook
    left, collects = signal.getitimer(signal.ITIMER_REAL)[0], gc.isenabled()
    gc.collect()
    gc.disable()
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, left)  # one within the other
        if collects:
            gc.enable()
        sys.unraisablehook = before_hook


# ---- the attack ----------------------------------------------------------------------------------

KEYS = [f"{number:02}" for number in range(12)]
#: What is interrupted: a name, and the call.
VERBS: dict[str, Callable[[Cache], object]] = {
    "fetch": lambda cache: cache.fetch("models", "01"),
    "fetch_many": lambda cache: cache.fetch_many("models", KEYS, threads=3),
    "fetch_prefix": lambda cache: cache.fetch_prefix("models", "0", threads=3),
    "mirror": lambda cache: cache.fetch_prefix("models", "deep/", into=_into(cache), threads=1),
    "load": lambda cache: cache.load("models", "01", Path.read_bytes),
    "put": lambda cache: cache.put("models", "new", b"new"),
    "scratch": lambda cache: _use_scratch(cache),
    "large": lambda cache: cache.fetch("models", "large"),
}


def _into(cache: Cache) -> Path:
    return cache.root.parent / "into"


def _use_scratch(cache: Cache) -> None:
    with cache.scratch() as work:
        work.fetch("models", "01")


class Target:
    """A cache to shoot at, and what is looked at afterwards."""

    def __init__(self) -> None:
        self.shelf = WritableShelf({key: key.encode() * 1000 for key in KEYS})
        self.shelf.objects["large"] = bytes(20 * MIB)
        self.shelf.objects["deep/er/1"] = self.shelf.objects["deep/er/and/2"] = b"deep"
        self.shelf.pace = lambda key, at, halted: time.sleep(0.004 if key == "large" else 0)
        self._directory = tempfile.TemporaryDirectory(prefix="tmpcache-interrupts-")
        self._made = 0
        gc.collect()
        gc.freeze()  # what is here now is not looked at each time
        self.renew()

    def renew(self) -> None:
        """Make a new cache in a new directory."""
        self._made += 1
        self.root = Path(self._directory.name, str(self._made))
        self.cache = Cache(self.root, quota="100 MiB", origin=self.shelf, lock_timeout=0.1)
        self._forget()
        self._before = self._left()

    def close(self) -> None:
        """Remove everything."""
        gc.unfreeze()
        self.cache.close()
        self._directory.cleanup()

    def interrupt(self, verb: str, points: Points) -> list[str]:
        """Interrupt a call; what is wrong afterwards."""
        wrong = []
        with alarm(HANGS_AFTER, AssertionError("it hangs")):
            try:
                points.run(lambda: VERBS[verb](self.cache))
                if points.place:
                    wrong.append("the exception was lost")
            except TimeIsUp:
                pass
            except BaseException as error:
                wrong.append(f"came out as {error!r}")
            shutil.rmtree(_into(self.cache), ignore_errors=True)
            may_stay = ("leases",) if points.was_dropped else ()  # the finalizer was a lease's
            wrong += [what for what in self._look() if not what.startswith(may_stay)]
            try:
                self.cache.fetch("models", "01").release()
            except BaseException as error:
                wrong.append(f"the next fetch: {error!r}")
            if self._store_has_leaks() or wrong:
                self.renew()
            else:
                self._forget()
        return [f"{points.place}: {what}" for what in wrong]

    def _forget(self) -> None:
        self.cache.fetch("models", "11").release()
        self.cache.evict("models", whole_bucket=True)
        self.cache._loaded.clear()
        gc.collect()

    def _left(self) -> dict[str, object]:
        return {
            "threads": threads_of_ours(),
            "flights": flights_of(self.cache),
            "mirrors": mirrors(self.root),
            "descriptors": descriptors(self.root),
            "leases": leases(self.cache),
            "partials": locked_partials(self.root),
        }

    def _look(self) -> list[str]:
        gc.collect()
        self.cache._loaded.clear()  # what `load` keeps in memory keeps its file
        left = self._left()
        return [
            f"{name}: {left[name]}, were {self._before[name]}"
            for name in left
            if left[name] != self._before[name]
        ]

    def _store_has_leaks(self) -> bool:
        gc.collect()
        return self._left() != self._before


class WritableShelf(Shelf):
    """A shelf that objects can be put on."""

    def put(
        self, bucket: str, key: str, body: BinaryIO, size: int, **options: object
    ) -> tuple[str, None]:
        """Store it."""
        self.objects[key] = body.read()
        return '"put"', None


def attack(verb: str, most: int, seed: int = 0) -> Counter[str]:
    """Interrupt a call at up to `most` of its moments, once at each; what was wrong, how often."""
    target, wrong = Target(), Counter[str]()
    try:
        counted = Points()
        counted.run(lambda: VERBS[verb](target.cache))
        target.renew()
        for moment in moments(counted.count, most, seed):
            wrong.update(target.interrupt(verb, Points(moment)))
    finally:
        target.close()
    return wrong


def moments(count: int, most: int, seed: int) -> list[int]:
    """Return at most `most` of the points from 1 to `count`, in order."""
    chosen = random.Random(seed).sample(range(1, count + 1), min(most, count))
    return sorted(chosen)


def attack_by_alarm(count: int, seed: int = 0) -> Counter[str]:
    """Interrupt `count` calls by a real signal at a random moment; what was wrong, how often."""
    target, wrong, chance = Target(), Counter[str](), random.Random(seed)
    verbs = list(VERBS)
    try:
        for number in range(count):
            verb = verbs[number % len(verbs)]
            late = chance.uniform(0.0002, 0.05 if verb in ("large", "fetch_many") else 0.01)
            wrong.update(target.interrupt(verb, Alarm(late)))
    finally:
        target.close()
    return wrong


class Alarm(Points):
    """Raises after so many seconds, by a real signal."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def run(self, call: Callable[[], object]) -> None:
        """Run the call, interrupted if it takes longer."""
        error = TimeIsUp("alarm")
        try:
            with alarm(self._seconds, error):
                call()
        finally:
            self.was_dropped = error.was_dropped


def main() -> None:
    """Run the long form: ``python -m support.interrupts --count 5000``, in tests/."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--count", type=int, default=1000, help="interrupts of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    wrong = attack_by_alarm(options.count, options.seed)
    for verb in VERBS:
        wrong += attack(verb, options.count, options.seed)
    for what, often in wrong.most_common():
        print(often, what)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
