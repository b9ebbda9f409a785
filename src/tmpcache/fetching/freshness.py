"""When a copy may be served without asking the origin: pure rules in HTTP's words, no I/O.

A copy's *age* is the time since the origin last confirmed it to the same scope. A clock that was
set back makes the age negative. Such a copy counts as stale, so the worst that a wrong clock costs
is one conditional request.

All times are seconds since the epoch, all durations seconds.
"""

from __future__ import annotations

from ..invocations.context import NEVER


def is_immutable(version_id: str | None) -> bool:
    """Return whether a version never changes. ``"null"`` does: unversioned buckets overwrite it.

    >>> is_immutable("3sL4kqtJlcpXroDTDmJ"), is_immutable("null"), is_immutable(None)
    (True, False, False)
    """
    return bool(version_id) and version_id != "null"


def is_fresh(
    validated_at: float | None,
    now: float,
    max_age: float,
    invocation_start: float = NEVER,
    version_id: str | None = None,
) -> bool:
    """Return whether a copy may be served without asking the origin.

    It may if its age is below `max_age`, if it was confirmed since the invocation under way began,
    or if its version never changes. A copy that was never confirmed to the scope (None) may not.

    >>> is_fresh(90.0, 100.0, 60), is_fresh(40.0, 100.0, 60), is_fresh(101.0, 100.0, 60)
    (True, False, False)
    >>> is_fresh(40.0, 100.0, 0, invocation_start=30.0), is_fresh(100.0, 100.0, 0)
    (True, False)
    >>> is_fresh(40.0, 1e9, 0, version_id="3sL4kqtJlcpXroDTDmJ"), is_fresh(None, 100.0, 60)
    (True, False)
    """
    if validated_at is None:
        return False
    age = now - validated_at
    return (age >= 0 and (age < max_age or validated_at >= invocation_start)) or (
        is_immutable(version_id)
    )


def is_always_stale(max_age: float, invocation_start: float, version_id: str | None = None) -> bool:
    """Return whether :func:`is_fresh` says no whatever the copy, so that none need be looked up.

    >>> is_always_stale(0, float("inf")), is_always_stale(60, float("inf"))
    (True, False)
    """
    return max_age == 0 and invocation_start == NEVER and not is_immutable(version_id)


def may_serve_stale(
    validated_at: float | None, now: float, max_age: float, stale_if_error: float
) -> bool:
    """Return whether a copy may be served although the origin could not be asked.

    >>> may_serve_stale(10.0, 100.0, 60, 60), may_serve_stale(10.0, 130.0, 60, 60)
    (True, False)
    >>> may_serve_stale(100.0, 100.0, 60, 0), may_serve_stale(None, 100.0, 60, 60)
    (False, False)
    """
    return (
        validated_at is not None
        and stale_if_error > 0
        and 0 <= now - validated_at < max_age + stale_if_error
    )


def has_listed_etag(etag: str, listed: str) -> bool:
    """Return whether a listing names the ETag of a copy. Some stores list none, or no quotes.

    >>> has_listed_etag('"abc"', "abc"), has_listed_etag('"abc"', '"abd"'), has_listed_etag("", "")
    (True, False, False)
    """
    return bool(etag) and etag.strip('"') == listed.strip('"')
