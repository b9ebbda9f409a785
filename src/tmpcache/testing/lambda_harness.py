"""A Lambda function under its real runtime client, in one execution environment."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import psutil

from .extra import missing
from .invocation import InitError, Invocation, no_init, unanswered
from .runtime_api import Event
from .sandbox import Sandbox

#: Variables that Lambda sets for every function.
ENVIRONMENT = {
    "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
    "AWS_LAMBDA_FUNCTION_NAME": "tmpcache-testing",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/tmpcache-testing",
    "AWS_LAMBDA_LOG_STREAM_NAME": "2025/01/01/[$LATEST]00000000000000000000000000000000",
    "TZ": ":UTC",
}


class LambdaHarness:
    """Runs a handler under ``awslambdaric``, Lambda's own runtime client, on loopback.

    It works like one execution environment of Lambda. The process starts at the first invocation,
    handles one event after the other, and is stopped in between. After it has ended or exceeded its
    time, a new one on the same disk replaces it. Linux only.

    Args:
        handler: ``"module.function"``.
        directory: where the module is, and the process's working directory; default: this
            process's.
        pythonpath: more directories to import from, before those in ``PYTHONPATH``.
        environ: variables to set, beside this process's (as they are when a process is started)
            and those that Lambda sets, such as ``AWS_LAMBDA_FUNCTION_NAME``.
        freezing: stop the process and its children (SIGSTOP) as soon as it requests the next
            event, until there is one, as Lambda does. False lets background threads run on.
        init_timeout: seconds that importing the module may take; default 10, as in Lambda.

    Raises:
        ModuleNotFoundError: awslambdaric is not installed.

    Its temporary directory (``TMPDIR``) is `tmp`: all its processes share it, and `close` removes
    it. Use the harness in a ``with`` statement, so that no process is left. Other threads may call
    `kill`, `freeze` and `thaw` while `invoke` runs.

    >>> with LambdaHarness("app.handler", directory="src") as function:     # doctest: +SKIP
    ...     cold, warm = function.invoke({"n": 1}), function.invoke({"n": 2})
    ...     assert (cold.cold, warm.cold, function.cold_starts) == (True, False, 1)
    """

    def __init__(
        self,
        handler: str,
        *,
        directory: str | os.PathLike[str] | None = None,
        pythonpath: Sequence[str | os.PathLike[str]] = (),
        environ: Mapping[str, str] | None = None,
        freezing: bool = True,
        init_timeout: float = 10.0,
    ) -> None:
        if importlib.util.find_spec("awslambdaric") is None:
            raise missing("LambdaHarness", "awslambdaric")
        self._handler, self._freezing, self._init_timeout = handler, freezing, init_timeout
        self._directory = os.path.abspath(directory or os.getcwd())
        self._path = [self._directory, *map(os.path.abspath, pythonpath)]
        self._given = dict(environ or {})
        self._invoking = threading.Lock()
        self._sandbox: Sandbox | None = None
        self._closed = False
        self._tmp = tempfile.TemporaryDirectory(prefix="tmpcache-lambda-")
        #: How many processes have been started.
        self.cold_starts = 0

    # ---- invoking ----------------------------------------------------------------------------

    def invoke(
        self, event: Any = None, *, timeout: float = 30.0, request_id: str | None = None
    ) -> Invocation:
        """Let the function handle one event; start a process if there is none.

        `timeout` is the function's time limit in seconds. The handler sees it in its context. When
        it is over, the process is killed (SIGKILL), and the invocation has `failed`, as one that
        raises or exits has. Returns when the process has requested the next event and, with
        freezing, is stopped; or when it has ended. Events are handled one at a time.

        Raises:
            InitError: the module could not be imported, the process ended or took too long.
            TypeError: the event is not JSON.
        """
        body = json.dumps(event).encode()
        with self._invoking:
            sandbox = self._alive() or self._start()
            begun = time.monotonic()
            sent = Event(request_id or str(uuid.uuid4()), body, time.time() + timeout)
            answer = sandbox.run(sent, timeout) or unanswered(sent, sandbox.end, timeout)
            if not sandbox.idle:  # its time is over, even if it has answered
                sandbox.kill()
            return Invocation(
                request_id=sent.request_id,
                payload=answer.payload,
                failed=answer.failed,
                duration=answer.at - begun,
                cold=sandbox.served == 1,
                pid=sandbox.pid,
                log=sandbox.new_log_lines(),
            )

    def restart(self) -> None:
        """Kill the process if there is one, and start another: a cold start on the same disk.

        Raises :class:`InitError`.
        """
        with self._invoking:
            self._start()

    def kill(self) -> None:
        """Send SIGKILL to the process and its children; the next `invoke` is a cold start.

        An invocation under way fails with ``Runtime.ExitError``.
        """
        if self._sandbox is not None:
            self._sandbox.kill()

    # ---- freezing ----------------------------------------------------------------------------

    def freeze(self) -> None:
        """Wait until the process is idle, then stop it and its children.

        Returns when all are stopped. The next `invoke` lets them run again. Raises ``RuntimeError``
        if there is no process, or it ended.
        """
        sandbox = self._alive()
        if sandbox is not None:
            sandbox.freeze()
        if not self.frozen:
            raise RuntimeError("there is no process to freeze: invoke the function first")

    def thaw(self) -> None:
        """Let a frozen process run without an event."""
        if self._sandbox is not None:
            self._sandbox.thaw()

    # ---- properties --------------------------------------------------------------------------

    @property
    def tmp(self) -> Path:
        """The function's temporary directory."""
        return Path(self._tmp.name)

    @property
    def pid(self) -> int | None:
        """The process id; None if there is no process."""
        sandbox = self._alive()
        return None if sandbox is None else sandbox.pid

    @property
    def frozen(self) -> bool:
        """Whether the process is stopped."""
        sandbox = self._alive()
        return sandbox is not None and sandbox.frozen

    @property
    def memory(self) -> int:
        """Bytes of resident memory of the process; 0 if there is no process."""
        pid = self.pid
        return 0 if pid is None else int(psutil.Process(pid).memory_info().rss)

    # ---- start and end -----------------------------------------------------------------------

    def close(self) -> None:
        """Kill the process and its children, and remove the temporary directory."""
        self.kill()
        with self._invoking:
            self._closed = True
            self._end()
            self._tmp.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _alive(self) -> Sandbox | None:
        sandbox = self._sandbox
        return sandbox if sandbox is not None and sandbox.end is None else None

    def _start(self) -> Sandbox:
        if self._closed:
            raise RuntimeError("this harness is closed: make another one")
        self._end()
        self._sandbox = sandbox = Sandbox(
            [sys.executable, "-m", "awslambdaric", self._handler],
            self._environ(),
            self._directory,
            freezing=self._freezing,
        )
        self.cold_starts += 1
        if not sandbox.wait_for_init(self._init_timeout):
            what = f"{self._handler} did not initialise"
            payload = sandbox.init_error or no_init(sandbox.end, self._init_timeout)
            sandbox.kill()
            raise InitError(what, payload, sandbox.new_log_lines())
        return sandbox

    def _end(self) -> None:
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None

    def _environ(self) -> dict[str, str]:
        path = [*self._path, *filter(None, [os.environ.get("PYTHONPATH")])]
        return {
            **os.environ,
            **ENVIRONMENT,
            "LAMBDA_TASK_ROOT": self._directory,
            "PYTHONPATH": os.pathsep.join(path),
            "TMPDIR": self._tmp.name,
            "_HANDLER": self._handler,
            **self._given,
        }
