"""Delivers the events that a thread has noted (:mod:`.events`) to the log and to the hooks."""

from __future__ import annotations

import sys
from functools import wraps

from ..config import checked_call
from .events import LEVELS, noted, subscriptions
from .handler_exceptions import reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ParamSpec, Self, TypeVar

    from ..events import Event

    P = ParamSpec("P")
    T = TypeVar("T")


class Subscription:
    """What :func:`subscribe` returns; :meth:`close`, or the end of ``with``, ends it."""

    def __init__(self, hook: Callable[[Event], object]) -> None:
        self._hook = checked_call("hook", hook)
        self._has_failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Call the hook no more. May be called again."""
        try:
            subscriptions.remove(self)
        except ValueError:  # it is closed already
            return

    def _call(self, event: Event) -> None:
        """Call the hook; what it raises for the first time is logged, and ends nothing."""
        try:
            self._hook(event)
        except Exception as error:
            reraise_from_handler(error)
            if not self._has_failed:
                from logging import getLogger

                self._has_failed = True
                getLogger("tmpcache").exception(
                    "the hook %r failed; it is called again, further failures are not logged: %s",
                    *(self._hook, event),
                )


def subscribe(hook: Callable[[Event], object]) -> Subscription:
    """Call `hook` with every event (:mod:`tmpcache.events`) of all caches of this process.

    The hook is called in the thread in which the event happened, when the call of the cache has let
    go of its locks, and so a moment later. What it raises is logged once and does not end the call;
    an exception of a signal handler passes. It may use the cache: what it causes there itself is
    not told. A hit is no event, and costs no more with a hook than without. Forked children go on
    with the hooks.

    Raises :class:`~tmpcache.errors.ConfigError` if `hook` cannot be called.

    >>> import tmpcache
    >>> with tmpcache.subscribe(print):
    ...     tmpcache.fetch("models", "micr/e13b.npz")                       # doctest: +SKIP
    s3://models/micr/e13b.npz fetched: 53248 bytes in 0.062 s
    """
    subscription = Subscription(hook)
    subscriptions.append(subscription)
    return subscription


def deliver() -> None:
    """Tell the log and the hooks what this thread has noted.

    Called without a lock and in no transaction of this thread.
    """
    if not noted.events or noted.is_delivering:
        return
    try:
        noted.is_delivering = True
        while noted.events:
            _tell(*noted.events.popleft())
    finally:
        noted.is_delivering = False


def delivering(call: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function at whose end no lock is held: it delivers what it has noted."""

    @wraps(call)
    def call_and_deliver(*args: P.args, **options: P.kwargs) -> T:
        try:
            return call(*args, **options)
        finally:
            deliver()

    return call_and_deliver


def _tell(kind: str, facts: dict[str, Any]) -> None:
    from .. import events

    event: Event = getattr(events, kind)(**facts)
    if "logging" in sys.modules:
        from logging import getLogger

        getLogger("tmpcache").log(LEVELS[kind], "%s", event)
    for subscription in [*subscriptions]:
        subscription._call(event)
