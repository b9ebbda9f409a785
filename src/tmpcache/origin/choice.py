"""Chooses the origin of a cache: an object, a name, or what the environment says."""

from __future__ import annotations

import os

from ..errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from . import Origin

_NAMES = ("auto", "direct", "boto3", "obstore")
_NAMES_TEXT = "'auto', 'direct', 'boto3' and 'obstore'"
_VARIABLE = "TMPCACHE_ORIGIN"
_INSTALL = "pip install 'tmpcache[fast]'"


def chosen(
    origin: Origin | str | None,
    client: Any,
    request_options: Mapping[str, str] | None,
    offline: bool,
) -> Origin:
    """Return the origin for these arguments of a cache; if it is offline, one that never asks."""
    online = _chosen(origin, client, request_options)
    if not offline:
        return online
    from .offline import OfflineOrigin

    return OfflineOrigin(online)


def _chosen(
    origin: Origin | str | None, client: Any, request_options: Mapping[str, str] | None
) -> Origin:
    """Return the origin that asks.

    An argument must work, or :class:`ConfigError` is raised. The environment variable falls back:
    where ``obstore`` is not installed or cannot send the `request_options`, a warning says so, and
    the default is used. With a `client`, boto3 sends the requests in any case. The default,
    ``auto``, is ``direct``, which leaves to boto3 what is not plain.
    """
    if origin is not None and not isinstance(origin, str):
        return origin
    name = (
        _checked_name(origin, "origin")
        if origin
        else _checked_name(os.environ.get(_VARIABLE), _VARIABLE)
    )
    reason = None
    if origin in ("direct", "obstore") and client is not None:
        reason = "a boto3 client was given: leave it out, or use origin='boto3'"
    elif name == "obstore" and client is None:
        reason = _why_not_obstore(request_options)
    if reason and origin:
        raise ConfigError(f"origin={origin!r}: {reason}")
    if client is not None or name == "boto3":
        from .s3.origin import S3Origin

        return S3Origin(client, request_options)
    if name == "obstore" and reason is None:
        from .obstore.origin import ObstoreOrigin

        return ObstoreOrigin(request_options)
    if reason:
        import warnings

        warnings.warn(f"{_VARIABLE}=obstore: {reason}. S3 is asked without it.", stacklevel=4)
    from .direct.origin import DirectOrigin

    return DirectOrigin(request_options)


def _checked_name(name: str | None, where: str) -> str:
    if not name:
        return "auto"
    if name not in _NAMES:
        raise ConfigError(f"{where}={name!r} is no origin: there are {_NAMES_TEXT}")
    return name


def _why_not_obstore(request_options: Mapping[str, str] | None) -> str | None:
    """Return why obstore cannot be used; None if it can."""
    from importlib.util import find_spec

    if find_spec("obstore") is None:
        return f"it is not installed: {_INSTALL}"
    from .obstore.origin import unsendable

    if names := unsendable(request_options):
        return f"it cannot send the request options {', '.join(names)}: use another origin"
    return None
