"""The result of an invocation, and the errors of those that fail."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .runtime_api import Answer, Event


@dataclass(frozen=True)
class Invocation:
    """One event, and the result or the error of the handler."""

    request_id: str
    #: What the handler returned, decoded (bytes, if it is not JSON); or the error: a mapping with
    #: ``errorType``, ``errorMessage`` and, for exceptions, ``stackTrace``.
    payload: Any
    #: Whether `payload` is an error.
    failed: bool
    #: Seconds from the event's delivery to the answer, or to the time limit.
    duration: float
    #: Whether it was the first invocation of its process.
    cold: bool
    #: The process that handled it.
    pid: int
    #: The lines that all processes in the sandbox wrote to stdout and stderr since the invocation
    #: before this one; if `cold`, those of the initialisation come first.
    log: tuple[str, ...]

    @property
    def result(self) -> Any:
        """What the handler returned; raises :class:`FunctionError` if it failed."""
        if self.failed:
            raise FunctionError("the invocation failed", self.payload, self.log)
        return self.payload

    @property
    def error_type(self) -> str | None:
        """The name of the exception, or ``Sandbox.Timedout`` or ``Runtime.ExitError``, or None."""
        return self.payload["errorType"] if self.failed else None

    @property
    def error_message(self) -> str | None:
        """The text of the exception, or what Lambda says of such an end, or None."""
        return self.payload["errorMessage"] if self.failed else None


class FunctionError(Exception):
    """A function failed. The text has its error, its stack trace and its log."""

    def __init__(self, what: str, payload: Mapping[str, Any], log: Sequence[str]) -> None:
        self.error_type = str(payload.get("errorType", ""))
        self.error_message = str(payload.get("errorMessage", ""))
        self.stack_trace = "".join(payload.get("stackTrace") or ())
        self.log = tuple(log)
        headline = f"{what}: {self.error_type}: {self.error_message}"
        trace = f"Stack trace:\n{self.stack_trace.rstrip()}" if self.stack_trace else ""
        printed = "\n".join(["Log:", *self.log]) if self.log else ""
        super().__init__("\n".join(filter(None, (headline, trace, printed))))


class InitError(FunctionError):
    """A function's process ended, or ran out of time, before it requested an event."""


def unanswered(event: Event, end: str | None, timeout: float) -> Answer:
    """Return what Lambda answers for a process that ended (`end` says how) or took too long."""
    if end is None:
        kind, what = "Sandbox.Timedout", f"Task timed out after {timeout:.2f} seconds"
    elif end == "exit status 0":
        kind, what = "Runtime.ExitError", "Runtime exited without providing a reason"
    else:
        kind, what = "Runtime.ExitError", f"Runtime exited with error: {end}"
    text = f"RequestId: {event.request_id} Error: {what}"
    return Answer({"errorType": kind, "errorMessage": text}, failed=True, at=time.monotonic())


def no_init(end: str | None, timeout: float) -> Mapping[str, str]:
    """Return the error of a process that requested no event and posted no error itself."""
    if end is None:
        text = f"it took more than {timeout:.2f} seconds and was killed: see init_timeout"
        return {"errorType": "Sandbox.Timedout", "errorMessage": text}
    return {"errorType": "Runtime.ExitError", "errorMessage": f"the process ended: {end}"}
