"""Call a function in a new process (a cold start) or once more in this one (a warm start)."""

from __future__ import annotations

import gc
import json
import pickle
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from .clock import Clock

T = TypeVar("T")

#: Source of the new process: it has this process's `sys.path`, and continues in `child`.
_BEGIN = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from tmpcache.testing import child
child.main(sys.argv[2])
"""


#: Seconds between two starts if a test does not say.
_PAUSE = 1.0


class ColdStartError(Exception):
    """A process ended without a result, or with one that cannot be pickled."""


class ColdStart:
    """Calls a function in a new process, on the same disk, as in a cold start.

    The new process has this one's environment and `sys.path`, and nothing in memory. With
    `settings` (arguments of :class:`tmpcache.Cache`) it begins with
    ``tmpcache.configure(**settings)``; a :class:`Clock` among them has the same time there, and
    stands still. A function may call ``tmpcache.configure`` itself.

    >>> cold_start = ColdStart()
    >>> cold_start(divmod, 7, 2)
    (3, 1)
    >>> cold_start("import sys; return 'boto3' in sys.modules")
    False
    """

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self._settings = dict(settings or {})

    def __call__(
        self,
        work: Callable[..., Any] | str,
        *args: Any,
        after: float | None = None,
        timeout: float = 60.0,
    ) -> Any:
        """Advance the clock by `after` seconds, by default 1; return the result of ``work(*args)``.

        `work` is importable by name (a function at the top of a module), or source text: the body
        of a function, which has the variable `args` and may ``return``. Arguments and results are
        pickled; cached files become plain paths.

        Raises:
            ColdStartError: the process ended without a result, or arguments or result cannot be
                pickled.
            TimeoutError: it took more than `timeout` seconds, and was killed.
            Exception: whatever `work` raised; a note has the stack trace.
        """
        _advance(self._settings.get("clock"), after)
        if isinstance(work, str):
            work = textwrap.dedent(work)
        try:
            task = pickle.dumps((self._settings, work, args))
        except Exception as error:
            raise ColdStartError(
                f"{work!r} and its arguments cannot be handed to another process ({error}): give a "
                "function at the top of a module, or source text"
            ) from error
        ok, result, trace = pickle.loads(_run(task, timeout))  # noqa: S301 - from our own child
        if ok:
            return result
        if result is None:
            raise ColdStartError(trace)
        result.add_note(trace)
        raise result


class WarmStart:
    """Calls a function in this process, as its next invocation.

    What a process keeps between two invocations stays as it is: modules and their globals, clients,
    copies that the cache has in memory. Garbage is collected, which ends the leases of paths that
    the invocation before no longer holds.

    >>> WarmStart()(divmod, 7, 2)
    (3, 1)
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock

    def __call__(self, work: Callable[..., T], *args: Any, after: float | None = None) -> T:
        """Advance the clock by `after` seconds, by default 1; return the result of ``work(*args)``.

        Raises what `work` raises.
        """
        gc.collect()
        _advance(self._clock, after)
        return work(*args)


def _advance(clock: Clock | None, seconds: float | None) -> None:
    """Advance the clock; raise if so many seconds were asked for and there is no clock.

    Time passes between two starts in any case. If it stood still, a copy would be as fresh as when
    it was fetched, and a function that forgets its ``max_age`` would seem to need no request.
    """
    if clock is not None:
        clock.advance(_PAUSE if seconds is None else seconds)
    elif seconds:
        raise ValueError("after= needs a clock to turn: none was given")


def _run(task: bytes, timeout: float) -> bytes:
    """Run a pickled task in a new process; return its pickled outcome."""
    with tempfile.TemporaryDirectory(prefix="tmpcache-cold-") as directory:
        result = Path(directory, "result")
        command = [sys.executable, "-c", _BEGIN, json.dumps(sys.path), str(result)]
        try:
            process = subprocess.run(command, input=task, timeout=timeout)  # noqa: S603
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"the process took more than {timeout} seconds") from error
        if process.returncode != 0 or not result.exists():
            raise ColdStartError(f"the process ended with status {process.returncode}, no result")
        return result.read_bytes()
