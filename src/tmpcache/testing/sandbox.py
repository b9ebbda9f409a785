"""One process that runs Lambda's runtime client, from its start to its end."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from . import process_tree
from .runtime_api import Answer, Event, RuntimeApi


class Sandbox:
    """Starts the process at once; `close` ends it, whatever it does.

    With `freezing`, the process and its children are stopped (SIGSTOP) from the moment that it
    requests the next event to the moment that there is one.

    The process is not reaped before `close`, so that the system gives its pid to no other process.
    """

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], directory: str, *, freezing: bool
    ) -> None:
        self._changed = threading.Condition()
        self._freezing = freezing
        self._event: Event | None = None
        self._answer: Answer | None = None
        #: The error that the process posted to ``init/error``.
        self.init_error: Mapping[str, Any] | None = None
        #: Whether the process waits in ``next``.
        self.idle = False
        self.frozen = False
        #: How many events it has received.
        self.served = 0
        #: How the process ended: "exit status 1", "signal: killed"; None while it lives.
        self.end: str | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._logged = 0
        self._api = RuntimeApi(self)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the command is the harness's own
                command,
                env={**environ, "AWS_LAMBDA_RUNTIME_API": self._api.address},
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except BaseException:
            self._api.close()
            self._log.close()
            raise
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    # ---- for the harness ---------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait_for_init(self, timeout: float) -> bool:
        """Wait until the process requests its first event; return whether it did in time.

        `timeout` is in seconds.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self.idle or self.end is not None or self.init_error is not None, timeout
            )
            return self.idle

    def run(self, event: Event, timeout: float) -> Answer | None:
        """Give the process an event and resume it; wait until it requests the next one, or ends.

        Returns the answer; None if there was none after `timeout` seconds. The process must be
        idle. After a None it is not idle, or has ended.
        """
        with self._changed:
            self._event, self._answer = event, None
            self.idle = False
            self.served += 1
            self._changed.notify_all()
            self._resume()
            self._changed.wait_for(lambda: self.idle or self.end is not None, timeout)
            return self._answer

    def freeze(self) -> None:
        """Wait until the process waits in ``next``, and stop it with its children."""
        with self._changed:
            self._changed.wait_for(lambda: self.idle or self.end is not None)
            self._stop()

    def thaw(self) -> None:
        """Let the process run again."""
        with self._changed:
            self._resume()

    def kill(self) -> None:
        """Send SIGKILL to the process and its children; return once the process has ended."""
        with self._changed:
            if self._process.returncode is None:
                process_tree.kill(self.pid)
            self._changed.wait_for(lambda: self.end is not None)

    def new_log_lines(self) -> tuple[str, ...]:
        """Return the lines written to stdout and stderr since the last call."""
        # A file, not a pipe: it never fills up, and it has all bytes that a `write` returned for.
        size = os.fstat(self._log.fileno()).st_size
        text = os.pread(self._log.fileno(), size - self._logged, self._logged)
        self._logged = size
        return tuple(text.decode(errors="replace").splitlines())

    def close(self) -> None:
        """Kill and reap the process, and close the API and the log."""
        self.kill()
        self._watcher.join()
        with self._changed:
            self._process.wait()
        self._api.close()
        self._log.close()

    # ---- for the Runtime API, in its threads -------------------------------------------------

    def next_event(self) -> Event | None:
        """Note that the process is idle, stop it if it is to be frozen, and wait for an event."""
        with self._changed:
            self.idle = True
            if self._freezing:
                self._stop()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._event is not None or self.end is not None)
            event, self._event = self._event, None
            return event

    def answered(self, answer: Answer) -> None:
        """Note the answer of the process."""
        with self._changed:
            self._answer = answer

    def init_failed(self, error: Any) -> None:
        """Note that the process could not be initialised."""
        with self._changed:
            self.init_error = error
            self._changed.notify_all()

    # ---- the process; called with the condition held -----------------------------------------

    def _stop(self) -> None:
        if self.end is None:
            process_tree.stop(self.pid)
            self.frozen = True

    def _resume(self) -> None:
        if self.frozen:
            process_tree.resume(self.pid)
            self.frozen = False

    def _watch(self) -> None:
        found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        assert found is not None, "only with WNOHANG"
        with self._changed:
            self.frozen = self.idle = False
            if found.si_code == os.CLD_EXITED:
                self.end = f"exit status {found.si_status}"
            else:
                self.end = f"signal: {(signal.strsignal(found.si_status) or '').lower()}"
            self._changed.notify_all()
