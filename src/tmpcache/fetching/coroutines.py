"""Makes coroutines of a cache's methods: each runs in a thread while the event loop goes on."""

from __future__ import annotations

from functools import wraps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, ParamSpec, TypeVar

    P = ParamSpec("P")
    T = TypeVar("T")


def awaited(method: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return a coroutine method that takes and returns what `method` does.

    When its task is cancelled, the transfer ends at once (:func:`.threads.in_thread`). What has
    arrived of a large object is kept, and the next fetch goes on from there.
    """
    name = method.__name__

    @wraps(method)
    async def call(self: Any, *arguments: Any, **options: Any) -> Any:
        from .threads import in_thread

        return await in_thread(getattr(self, name), *arguments, **options)

    call.__name__, call.__qualname__ = f"a{name}", f"Cache.a{name}"
    call.__doc__ = f"Call `{name}` in a thread, and wait for it while the event loop goes on."
    return call  # type: ignore[return-value]
