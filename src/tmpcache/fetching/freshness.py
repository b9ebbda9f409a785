"""When a copy may be used without asking: pure rules in HTTP's words, no I/O.

A copy's *age* is the time since the origin last confirmed it to the same caller (``None``: never).
A clock that was set back makes the age negative; such a copy counts as stale, so the worst that a
wrong clock can cost is one conditional request.
"""

from __future__ import annotations


def is_immutable(version_id: str | None) -> bool:
    """Whether a version never changes. ``"null"`` does: unversioned buckets overwrite it.

    >>> is_immutable("3sL4kqtJlcpXroDTDmJ"), is_immutable("null"), is_immutable(None)
    (True, False, False)
    """
    return bool(version_id) and version_id != "null"


def is_same(etag: str, listed: str) -> bool:
    """Whether a listing names the ETag of a copy. Some stores leave out its quotes, or all of it.

    >>> is_same('"abc"', "abc"), is_same('"abc"', '"abd"'), is_same("", "")
    (True, False, False)
    """
    return bool(etag) and etag.strip('"') == listed.strip('"')


def is_fresh(age: float | None, max_age: float, *, immutable: bool = False) -> bool:
    """Whether a copy may be served without asking the origin.

    >>> is_fresh(10.0, 60), is_fresh(60.0, 60), is_fresh(0.0, 0), is_fresh(-1.0, 60)
    (True, False, False, False)
    >>> is_fresh(1e9, 0, immutable=True), is_fresh(None, 60)
    (True, False)
    """
    return age is not None and (immutable or 0 <= age < max_age)


def may_serve_stale(age: float | None, max_age: float, stale_if_error: float) -> bool:
    """Whether a copy may be served although the origin could not be asked.

    >>> may_serve_stale(90.0, 60, 60), may_serve_stale(120.0, 60, 60), may_serve_stale(0.0, 60, 0)
    (True, False, False)
    """
    return age is not None and stale_if_error > 0 and 0 <= age < max_age + stale_if_error
