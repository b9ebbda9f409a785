"""Which objects ``ls`` and ``rm`` are about: ``size>1GB``, ``used>30d``, ``key=*.npz``."""

from __future__ import annotations

import operator
import re
import time
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click

from ..config import parse_size
from ..errors import ConfigError

if TYPE_CHECKING:
    from ..reports import Entry

    Test = Callable[[Entry], bool]

HELP = (
    "Only objects for which this holds; may be given several times. size>1GB; used>30d or "
    "checked<10min: not used for, or confirmed by S3 within; bucket=, key= and version= take "
    "patterns like *.npz."
)
_OPERATORS = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
}
_UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_NUMBERS: dict[str, Callable[[Entry], float]] = {
    "size": lambda entry: entry.size,
    "used": lambda entry: time.time() - entry.used_at,
    "checked": lambda entry: time.time() - (entry.validated_at or 0),
}
_TEXTS: dict[str, Callable[[Entry], str]] = {
    "bucket": lambda entry: entry.bucket,
    "key": lambda entry: entry.key,
    "version": lambda entry: entry.pinned_version or "",
}


class Filter(click.ParamType[object]):
    """A condition on objects, as a type of option."""

    name = "condition"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """Return a function that says whether the condition holds for an entry."""
        try:
            return parse(str(value))
        except ConfigError as error:
            self.fail(str(error), param, ctx)


class Duration(click.ParamType[float]):
    """A duration, as a type of option."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        try:
            return duration(str(value))
        except ConfigError as error:
            self.fail(str(error), param, ctx)


def parse(condition: str) -> Test:
    """Return a function that says whether a condition holds for an entry; see :data:`HELP`."""
    match = re.fullmatch(r"\s*(\w+)\s*(>=|<=|!=|>|<|=)\s*(.*?)\s*", condition)
    name, sign, value = match.groups() if match else ("", "", "")
    if name in _TEXTS and sign in ("=", "!="):
        of, is_wanted = _TEXTS[name], sign == "="
        return lambda entry: fnmatchcase(of(entry), value) is is_wanted
    if name not in _NUMBERS:
        known = ", ".join([*_NUMBERS, *(f"{text}=" for text in _TEXTS)])
        raise ConfigError(f"{condition!r} is no condition: give one like 'size>1GB' ({known})")
    limit = parse_size(value, total=0) if name == "size" else duration(value)
    number, compare = _NUMBERS[name], _OPERATORS[sign]
    return lambda entry: bool(compare(number(entry), limit))


def duration(text: str) -> float:
    """Return the seconds of a duration.

    >>> duration("90"), duration("1.5h"), duration("2 w")
    (90.0, 5400.0, 1209600.0)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text)
    if match is None or (match[2] or "s") not in _UNITS:
        raise ConfigError(f"{text!r} is no duration: give one like 30s, 10min, 12h, 7d")
    return float(match[1]) * _UNITS[match[2] or "s"]


def below(
    entries: Iterable[Entry], bucket: str | None, prefix: str, tests: Iterable[Test] = ()
) -> Iterator[Entry]:
    """Yield the entries of a bucket whose keys begin with a prefix and for which all tests hold."""
    for entry in entries:
        is_below = bucket in (None, entry.bucket) and entry.key.startswith(prefix)
        if is_below and all(test(entry) for test in tests):
            yield entry
