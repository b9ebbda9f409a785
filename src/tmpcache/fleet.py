"""Functions of the default cache that machines help each other with."""

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
    """Return a function that calls a method of the default cache, with its signature and text."""
    method = getattr(Cache, name)

    @wraps(method)
    def call(*arguments: Any, **options: Any) -> Any:
        return getattr(default_cache(), name)(*arguments, **options)

    signature = inspect.signature(method)
    parameters = [*signature.parameters.values()][1:]
    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return call


manifest = _of_default_cache("manifest")
put_listing = _of_default_cache("put_listing")
put_pack = _of_default_cache("put_pack")
warm = _of_default_cache("warm")
