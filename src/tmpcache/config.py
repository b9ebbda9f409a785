"""Settings: from arguments, ``TMPCACHE_*``, defaults. Sizes and seconds are parsed here."""

from __future__ import annotations

import math
import os
import re

from .errors import ConfigError

TYPE_CHECKING = False  # typing costs a fresh process 3 ms; mypy knows this name
if TYPE_CHECKING:
    from typing import Any

MIB = 1024 * 1024
#: Below this the index alone would be a noticeable part of the quota.
SMALLEST_QUOTA = MIB
LARGEST_DEFAULT_QUOTA = 10 * 1024 * MIB

_SIZE = r"(?i)(\d+(?:\.\d+)?)\s*(?:([kmgtp]?)(i?)b?|(%))"  # compiled when a text is to be read


class Settings:
    """What one cache was told, parsed but for the sizes that depend on the file system."""

    __slots__ = ("lock_timeout", "max_age", "min_free", "quota", "root", "stale_if_error")

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        quota: int | str | None = None,
        min_free: int | str | None = None,
        max_age: float | str | None = None,
        stale_if_error: float | str | None = None,
        lock_timeout: float | str | None = None,
    ) -> None:
        self.root = _root(root if root is not None else os.environ.get("TMPCACHE_ROOT"))
        self.quota = _given("quota", quota, None)
        self.min_free = _given("min_free", min_free, 0)
        self.max_age = seconds("max_age", _given("max_age", max_age, 0), text=True)
        self.stale_if_error = seconds(
            "stale_if_error", _given("stale_if_error", stale_if_error, 0), text=True
        )
        self.lock_timeout = seconds(
            "lock_timeout", _given("lock_timeout", lock_timeout, 10), text=True
        )
        for name in ("quota", "min_free"):
            value = getattr(self, name)
            if value is not None:
                parse_size(value, total=100 * SMALLEST_QUOTA, name=name)  # refuse nonsense early


def parse_size(value: int | str, *, total: int, name: str = "size") -> int:
    """Bytes meant by an int, ``"400 MB"``, ``"1.5 GiB"`` or ``"80%"`` (of `total` bytes).

    ``MB`` is 10**6 and ``MiB`` 2**20, as everywhere; the ``B`` may be left out.

    >>> parse_size("400 MB", total=0), parse_size("1.5GiB", total=0), parse_size("80%", total=1000)
    (400000000, 1610612736, 800)
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = re.fullmatch(_SIZE, value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ConfigError(
            f"{name}={value!r} is not a size: give bytes as an int, or text like "
            "'400 MB', '1.5 GiB' or '80%' of the file system"
        )
    number, prefix, binary, percent = match.groups()
    if percent:
        if float(number) > 100:
            raise ConfigError(f"{name}={value!r} is more than the whole file system")
        return int(total * float(number) / 100)
    return int(float(number) * (1024 if binary else 1000) ** " kmgtp".index(prefix.lower() or " "))


def seconds(name: str, value: float | str, *, text: bool = False) -> float:
    """A duration in seconds, zero or more (``inf`` allowed), or :class:`ConfigError`.

    Digits as `text` are for the environment only.
    """
    if isinstance(value, str) and not text:
        raise ConfigError(f"{name}={value!r} is a text: give a number of seconds")
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not number >= 0:
        raise ConfigError(f"{name}={value!r} is not a duration: give seconds, zero or more")
    return number


def checked_quota(value: int | str | None, *, total: int, free: int, cached: int) -> int:
    """The quota in bytes for a file system of `total` bytes, of which `free` are free.

    The default counts the `cached` bytes as free (they can be evicted), or every process would
    find a smaller quota than the one before it.
    """
    if value is None:
        if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
            return max(total * 8 // 10, SMALLEST_QUOTA)
        return max(min(LARGEST_DEFAULT_QUOTA, (free + cached) // 2), SMALLEST_QUOTA)
    quota = parse_size(value, total=total, name="quota")
    if quota < SMALLEST_QUOTA:
        raise ConfigError(
            f"quota={value!r} is {quota} bytes: give at least 1 MiB ({SMALLEST_QUOTA})"
        )
    return quota


def _given(name: str, value: Any, default: Any) -> Any:
    """The argument, else the environment's word, else the default; an empty variable is none."""
    return value if value is not None else os.environ.get(f"TMPCACHE_{name.upper()}") or default


def _root(root: str | os.PathLike[str] | None) -> str:
    if root is None or root == "":
        # Not tempfile.gettempdir(): importing it costs a fresh process 2 ms of its 25 ms.
        above = os.path.abspath(os.environ.get("TMPDIR") or "/tmp")
        return os.path.join(above, f"tmpcache-{os.geteuid()}")
    path = os.fspath(root)
    if not isinstance(path, str) or "\0" in path:
        raise ConfigError(f"root={root!r} is not a path")
    return os.path.abspath(os.path.expanduser(path))
