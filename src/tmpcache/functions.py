"""The functions of the default cache: its methods, with their signatures and texts."""

from __future__ import annotations

import inspect
from functools import wraps

from . import default_cache
from .cache import Cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _of_default_cache(name: str) -> Callable[..., Any]:
    """Return a function that calls a method of the default cache."""
    method = getattr(Cache, name)

    if inspect.iscoroutinefunction(method):

        @wraps(method)
        async def call(*arguments: Any, **options: Any) -> Any:
            return await getattr(default_cache(), name)(*arguments, **options)

    else:

        @wraps(method)
        def call(*arguments: Any, **options: Any) -> Any:
            return getattr(default_cache(), name)(*arguments, **options)

    signature = inspect.signature(method)
    parameters = [*signature.parameters.values()][1:]
    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    call.__module__, call.__qualname__ = __package__ or "", name  # where pickle finds it
    return call


afetch = _of_default_cache("afetch")
afetch_many = _of_default_cache("afetch_many")
aload = _of_default_cache("aload")
aput = _of_default_cache("aput")
fetch_many = _of_default_cache("fetch_many")
fetch_prefix = _of_default_cache("fetch_prefix")
load = _of_default_cache("load")
manifest = _of_default_cache("manifest")
peek = _of_default_cache("peek")
put = _of_default_cache("put")
put_listing = _of_default_cache("put_listing")
put_pack = _of_default_cache("put_pack")
scratch = _of_default_cache("scratch")
warm = _of_default_cache("warm")
