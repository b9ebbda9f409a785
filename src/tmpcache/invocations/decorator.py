"""Runs a handler as one invocation, as ``tmpcache.invocation`` promises.

An invocation begins by reclaiming what dead processes left. It has a deadline, and at its end it
removes scratch directories, releases paths and logs what it did.
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
import sys
import time
from weakref import ref

from ..common.deadline import Deadline
from ..config import seconds
from ..errors import TmpCacheError
from . import context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Protocol, Self, TypeVar, overload

    from ..cached_file import CachedFile
    from ..reports import Stats, Usage
    from .context import Removable

    Handler = TypeVar("Handler", bound=Callable[..., Any])

    class InvokedCache(Protocol):
        """What an invocation needs of a cache."""

        @property
        def _clock(self) -> Callable[[], float]:
            """Seconds since the epoch."""

        def _sweep(self) -> None:
            """Reclaim what dead processes left."""

        def stats(self) -> Stats:
            """What the cache has counted so far."""

        def usage(self) -> Usage:
            """Where the bytes are."""

    class Starter(Protocol):
        """What ``tmpcache.invocation`` and ``Cache.invocation`` take and give."""

        @overload
        def __call__(self, handler: Handler, /) -> Handler: ...  # type: ignore[overload-overlap]
        @overload
        def __call__(
            self,
            context: object = None,
            *,
            margin: float = ...,
            ping: Callable[[object], bool] = ...,
            metrics: str | None = ...,
        ) -> Invocation: ...


_log = logging.getLogger("tmpcache.invocation")


def is_ping(event: object) -> bool:
    """Return whether an event only keeps the function warm: ``{"tmpcache": "ping"}``.

    >>> is_ping({"tmpcache": "ping"}), is_ping({"Records": []})
    (True, False)
    """
    return isinstance(event, dict) and event.get("tmpcache") == "ping"


def is_ping_or_scheduled(event: object) -> bool:
    """Return the same, and True for every scheduled event of EventBridge.

    For functions that have no other use for scheduled events.

    >>> is_ping_or_scheduled({"source": "aws.events", "detail-type": "Scheduled Event"})
    True
    """
    return is_ping(event) or (
        isinstance(event, dict)
        and event.get("source") == "aws.events"
        and event.get("detail-type") == "Scheduled Event"
    )


class Invocation:
    """Decorator of a ``handler(event, context)``, and context manager ``with invocation(context)``.

    * At the start, what dead processes left is reclaimed.
    * A fetch that cannot be finished `margin` seconds before the function is killed raises
      :class:`~tmpcache.errors.DeadlineExceededError`; the next invocation resumes the
      download of a large object.
    * Within the invocation an object is validated at most once.
    * At the end, also after an error, scratch directories are removed and paths released.
    * An event for which `ping` returns true is answered with ``{"tmpcache": "pong"}``, and the
      handler is not run.
    * One line goes to the logger ``tmpcache.invocation``, in JSON; with `metrics`, a namespace, one
      in CloudWatch's embedded metric format to standard output.

    >>> @tmpcache.invocation                                                # doctest: +SKIP
    ... def handler(event, context):
    ...     return tmpcache.fetch("models", "micr/e13b.npz").size
    """

    def __init__(
        self,
        context: object = None,
        *,
        cache: Callable[[], InvokedCache],
        margin: float = 0.5,
        ping: Callable[[object], bool] = is_ping,
        metrics: str | None = None,
    ) -> None:
        self._context, self._cache, self._ping, self._metrics = context, cache, ping, metrics
        self._margin = seconds("margin", margin)
        self._runs: list[Run] = []

    def __call__(self, handler: Handler) -> Handler:
        """Wrap a handler, which may be async."""
        if inspect.iscoroutinefunction(handler):

            @functools.wraps(handler)
            async def answer_later(event: Any, context: Any = None, *rest: Any) -> Any:
                if self._ping(event):
                    return _PONG
                with self._run(context):
                    return await handler(event, context, *rest)

            return answer_later  # type: ignore[return-value]

        @functools.wraps(handler)
        def answer(event: Any, context: Any = None, *rest: Any) -> Any:
            if self._ping(event):
                return _PONG
            with self._run(context):
                return handler(event, context, *rest)

        return answer  # type: ignore[return-value]

    def __enter__(self) -> Run:
        run = self._run(self._context)
        self._runs.append(run)
        return run.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._runs.pop().__exit__(kind, error, traceback)

    def _run(self, context: object) -> Run:
        return Run(self._cache(), context, self._margin, self._metrics)


def invocation(target: Any = None, *, cache: Callable[[], InvokedCache], **options: Any) -> Any:
    """Return an `Invocation`, or, given a function, that function decorated: see `Starter`."""
    if callable(target) and not hasattr(target, "get_remaining_time_in_millis"):
        return Invocation(cache=cache, **options)(target)
    return Invocation(target, cache=cache, **options)


class Run:
    """An invocation under way."""

    def __init__(
        self, cache: InvokedCache, context: object, margin: float, metrics: str | None
    ) -> None:
        self.cache, self._metrics = cache, metrics
        self.request_id = str(getattr(context, "aws_request_id", ""))
        self._function = str(getattr(context, "function_name", ""))
        #: When the function is killed, less the margin; None if its context does not say.
        self.deadline: Deadline | None = None
        milliseconds = _remaining(context)
        if milliseconds is not None:
            self.deadline = Deadline(milliseconds / 1000 - margin)
        #: Seconds since the epoch.
        self.started = 0.0
        self._began = 0.0
        self._files: dict[int, ref[CachedFile]] = {}
        self._scratches: list[ref[Removable]] = []

    def __enter__(self) -> Self:
        try:
            self.cache._sweep()
        except TmpCacheError as problem:  # a fetch that needs the room raises it again
            _log.warning("leftovers were not swept: %s", problem)
        self.started, self._began = self.cache._clock(), time.monotonic()
        self._before = self.cache.stats()
        context._running.append(self)
        self._token = context._current.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        context._running.remove(self)
        context._current.reset(self._token)
        try:
            self._report(error)
        finally:
            for scratch in self._scratches:
                if (directory := scratch()) is not None:
                    directory.remove()
            for file in self._files.values():
                if (path := file()) is not None:
                    path.release()

    def note_file(self, file: CachedFile) -> None:
        """Release this path at the end. Slots of leases are used again, so these stay few."""
        self._files[file._lease.slot] = ref(file)

    def note_scratch(self, scratch: Removable) -> None:
        """Remove this directory at the end."""
        self._scratches.append(ref(scratch))

    def _report(self, error: BaseException | None) -> None:
        """Log one line about the invocation, and print its metrics if asked."""
        took, stats = time.monotonic() - self._began, self.cache.stats()
        if not (self._metrics or _log.isEnabledFor(logging.INFO)):
            return
        try:
            usage = self.cache.usage()
        except TmpCacheError as problem:  # the handler's result matters more than this line
            _log.warning("no account of this invocation: %s", problem)
            return
        account = {
            **_difference(self._before, stats),
            "used": usage.used,
            "quota": usage.quota,
            "seconds": round(took, 4),
            "error": type(error).__name__ if error is not None else None,
            "request_id": self.request_id,
        }
        _log.info("%s", json.dumps(account))
        if self._metrics:
            print(_embedded(account, self._metrics, self._function), file=sys.stdout, flush=True)


def _remaining(context: object) -> float | None:
    """Return the milliseconds left, None if the context (a mock, an emulator) does not say."""
    ask = getattr(context, "get_remaining_time_in_millis", None)
    left = ask() if ask is not None else None
    is_a_time = isinstance(left, (int, float)) and not isinstance(left, bool) and left >= 0
    return left if is_a_time else None


_PONG = {"tmpcache": "pong"}


def _difference(before: Stats, after: Stats) -> dict[str, int]:
    """Return what happened in between, named as in the log line."""
    return {
        "hits": after.hits - before.hits,
        "asked": after.asked - before.asked,
        "fetched": after.fetched - before.fetched,
        "stale": after.stale - before.stale,
        "bytes": after.bytes_fetched - before.bytes_fetched,
        "evictions": after.evicted - before.evicted,
    }


def _embedded(account: dict[str, Any], namespace: str, function: str) -> str:
    """Return the line in CloudWatch's embedded metric format.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    units = {"bytes": "Bytes", "used": "Bytes", "quota": "Bytes", "seconds": "Seconds"}
    names = ("hits", "asked", "fetched", "stale", "bytes", "evictions", "used", "quota", "seconds")
    metrics = [{"Name": name, "Unit": units.get(name, "Count")} for name in names]
    directive = {"Namespace": namespace, "Dimensions": [["function"]], "Metrics": metrics}
    head = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    return json.dumps({"_aws": head, "function": function or "unknown", **account})
