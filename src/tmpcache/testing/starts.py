"""Two ways to call a function again: in a new process, and in this one."""

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

#: Finds the modules that this process finds, and goes on in `child`.
_BEGIN = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from tmpcache.testing import child
child.main(sys.argv[2])
"""


class ColdStartError(Exception):
    """A process ended without a result, or with one that cannot be handed over."""


class ColdStart:
    """Calls a function in a fresh process, on the same disk: what a new container process does.

    The new process remembers nothing. It sees the environment of this one, and finds modules where
    this one does. With `settings` (arguments of :class:`tmpcache.Cache`) it begins with
    ``tmpcache.configure(**settings)``; a ``clock`` among them that is a :class:`Clock` shows the
    same time there, and stands still. A function that calls ``tmpcache.configure`` itself gets
    what it asks for.

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
        after: float = 0.0,
        timeout: float = 60.0,
    ) -> Any:
        """The result of ``work(*args)``, `after` seconds by the clock.

        `work` is importable by name (a function at the top of a module), or source text: the body
        of a function, which sees `args` and may ``return``. What goes in and comes out is pickled;
        the paths of a cache become plain ones.

        Raises:
            ColdStartError: the process ended without a result, or what goes in or comes out cannot
                be pickled.
            TimeoutError: it took more than `timeout` seconds, and was killed.
            Exception: whatever `work` raised; a note has the stack trace.
        """
        _pass_time(self._settings.get("clock"), after)
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

    What a process remembers between two invocations stays as it is: modules and their globals,
    clients, copies that the cache knows of. What an invocation leaves behind goes: garbage is
    collected, which ends the leases of paths that nobody holds.

    >>> WarmStart()(divmod, 7, 2)
    (3, 1)
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock

    def __call__(self, work: Callable[..., T], *args: Any, after: float = 0.0) -> T:
        """The result of ``work(*args)``, `after` seconds by the clock. Raises what it raises."""
        gc.collect()
        _pass_time(self._clock, after)
        return work(*args)


def _pass_time(clock: Clock | None, seconds: float) -> None:
    """Turn the clock, which has to be there if `seconds` shall pass."""
    if seconds:
        if clock is None:
            raise ValueError("after= needs a clock to turn: none was given")
        clock.advance(seconds)


def _run(task: bytes, timeout: float) -> bytes:
    """What the fresh process made of a pickled task, pickled."""
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
