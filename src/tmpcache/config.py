"""The settings of a cache: from arguments, else ``TMPCACHE_*``, else defaults.

Sizes and durations are parsed here, and arguments that users give are checked.
"""

from __future__ import annotations

import math
import os
import re
import stat

from .errors import ConfigError, TmpCacheError, UnsafeRootError

TYPE_CHECKING = False  # typing costs a fresh process 3 ms; mypy knows this name
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn

MIB = 1024 * 1024
#: Bytes. With less, the index alone would be a noticeable part of the quota.
SMALLEST_QUOTA = MIB
LARGEST_DEFAULT_QUOTA = 10 * 1024 * MIB

_SIZE = r"(?i)(\d+(?:\.\d+)?)\s*(?:([kmgtp]?)(i?)b?|(%))"  # compiled when the first text is parsed


_ON, _OFF = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


class Settings:
    """The settings of one cache. Sizes are parsed later, as they depend on the file system."""

    __slots__ = (
        "ask_again_after",
        "listings",
        "lock_timeout",
        "max_age",
        "min_free",
        "offline",
        "quota",
        "root",
        "stale_if_error",
    )

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        quota: float | str | None = None,
        min_free: float | str | None = None,
        max_age: float | str | None = None,
        stale_if_error: float | str | None = None,
        lock_timeout: float | str | None = None,
        offline: bool | None = None,
        listings: str | Iterable[str] | None = None,
        ask_again_after: float | str | None = None,
    ) -> None:
        self.offline = _switch("offline", offline)
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
        self.listings = _prefix_urls(_given("listings", listings, ()))
        self.ask_again_after = seconds(
            "ask_again_after", _given("ask_again_after", ask_again_after, 12 * 3600), text=True
        )
        for name in ("quota", "min_free"):
            value = getattr(self, name)
            if value is not None:
                # Refuse what is no size before the root is made.
                parse_size(value, total=100 * SMALLEST_QUOTA, name=name)


def parse_size(value: float | str, *, total: int, name: str = "size") -> int:
    """Return the bytes that a whole number or a text means; a percentage is one of `total`.

    ``MB`` is 10**6 and ``MiB`` 2**20; the ``B`` may be left out.

    >>> parse_size("400 MB", total=0), parse_size("1.5GiB", total=0), parse_size("80%", total=1000)
    (400000000, 1610612736, 800)
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_number and value >= 0 and value % 1 == 0:  # type: ignore[operator]
        return int(value)
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
    """Return a duration in seconds, zero or more (``inf`` allowed), or raise `ConfigError`.

    A `text` of digits is accepted from the environment only.
    """
    if isinstance(value, str) and not text:
        raise ConfigError(f"{name}={value!r} is a text: give a number of seconds")
    return number(name, value, "a duration: give seconds")


def number(name: str, value: Any, what: str) -> float:
    """Return a number of zero or more, or raise `ConfigError`, which says `what` it should be."""
    try:
        found = math.nan if isinstance(value, (bool, bytes, bytearray)) else float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not found >= 0:
        raise ConfigError(f"{name}={value!r} is not {what}, zero or more")
    return found


def checked_quota(value: float | str | None, *, total: int, free: int, cached: int) -> int:
    """Return the quota in bytes for a file system of `total` bytes, of which `free` are free.

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
    """Return the argument, else the variable if it is not empty, else the default."""
    return value if value is not None else os.environ.get(f"TMPCACHE_{name.upper()}") or default


def _switch(name: str, value: bool | None) -> bool:
    """Return the argument, else what the variable says: 1, true, yes or on, or the opposite."""
    if isinstance(value, bool):
        return value
    variable = f"TMPCACHE_{name.upper()}"
    text = os.environ.get(variable, "").lower()
    if value is not None or text not in {*_ON, *_OFF}:
        what = f"{name}={value!r}" if value is not None else f"{variable}={text!r}"
        raise ConfigError(f"{what} is neither on nor off: give 1 or 0")
    return text in _ON


def _prefix_urls(given: str | Iterable[str]) -> tuple[str, ...]:
    """Return URLs of prefixes, each with a slash at its end. A text separates them."""
    if not isinstance(given, str) and not hasattr(given, "__iter__"):
        raise ConfigError(f"listings={given!r} is no list of URLs like 's3://models/micr/'")
    urls = given.replace(",", " ").split() if isinstance(given, str) else given
    return tuple(f"s3://{'/'.join(split_directory_url(url))}" for url in urls)


def _root(root: str | os.PathLike[str] | None) -> str:
    """Return the root as an absolute path, the default for None or an empty text."""
    if root is None or root == "":
        # Not tempfile.gettempdir(): importing it costs a fresh process 2 ms of its 25 ms.
        above = os.path.abspath(os.environ.get("TMPDIR") or "/tmp")
        return os.path.join(above, f"tmpcache-{os.geteuid()}")
    if not isinstance(root, (str, os.PathLike)) or not isinstance(os.fspath(root), str):
        raise ConfigError(f"root={root!r} is not a path: give a text or a pathlib.Path")
    path = os.path.abspath(os.path.expanduser(os.fspath(root)))
    if "\0" in path:
        raise ConfigError(f"root={root!r} is not a path")
    _refuse_what_is_no_cache(path)
    return path


def _refuse_what_is_no_cache(path: str) -> None:
    """Refuse a directory that others may enter and that is shared or holds other things.

    The store would advise to make it private, which would lock out its other users.
    """
    try:
        status = os.lstat(path)
        if not stat.S_ISDIR(status.st_mode) or not status.st_mode & 0o077:
            return
        is_shared = status.st_mode & stat.S_ISVTX and status.st_mode & stat.S_IWOTH
        if not is_shared:
            names = os.listdir(path)
            if not names or "CACHEDIR.TAG" in names:
                return
    except OSError:  # there is none, or it cannot be listed, and the store says why
        return
    what = "is a directory for everybody" if is_shared else "holds other things"
    raise UnsafeRootError(
        f"{path} {what}, so it cannot be a cache directory itself. Choose a directory in it, which "
        f"need not exist yet: root={os.path.join(path, 'tmpcache')!r}."
    )


def refuse_root(path: str, error: OSError) -> NoReturn:
    """Raise `ConfigError`, which says why a root cannot be used and what to do about it."""
    if isinstance(error, TmpCacheError):
        raise error
    raise ConfigError(
        f"root={path!r} cannot be used as a cache directory: {error.strerror or error}"
        f"{f' ({error.filename})' if error.filename else ''}. Choose a directory on a local disk "
        "that this user may write to (root=…, TMPCACHE_ROOT)."
    ) from error


def checked_client(client: Any) -> Any:
    """Return a boto3 S3 client or None; raise `ConfigError` for anything else."""
    if client is None or (
        callable(getattr(client, "get_object", None))
        and getattr(getattr(client, "meta", None), "endpoint_url", None) is not None
    ):
        return client
    raise ConfigError(f"client={client!r} is not an S3 client: give boto3.client('s3')")


def checked_call(name: str, function: Any) -> Any:
    """Return a function that a user gives, or raise `ConfigError`."""
    if not callable(function):
        raise ConfigError(f"{name}={function!r} is not a function")
    return function


def split_url(url: str) -> tuple[str, str]:
    """Return bucket and key of ``s3://bucket/key``. The key is not decoded.

    >>> split_url("s3://models/micr/e13b.npz")
    ('models', 'micr/e13b.npz')
    """
    bucket, key = split_prefix_url(url)
    if not key:
        raise ConfigError(f"{url!r} names no object: give a bucket and a key, or 's3://bucket/key'")
    return bucket, key


def split_prefix_url(url: str) -> tuple[str, str]:
    """Return bucket and prefix of ``s3://bucket/prefix``. The prefix may be empty.

    >>> split_prefix_url("s3://models/micr/"), split_prefix_url("s3://models")
    (('models', 'micr/'), ('models', ''))
    """
    bucket, _, prefix = url[5:].partition("/") if isinstance(url, str) else ("", "", "")
    if not bucket or not url.startswith("s3://"):
        raise ConfigError(f"{url!r} names no object: give a bucket and a key, or 's3://bucket/key'")
    return bucket, prefix


def split_directory_url(url: str, prefix: str | None = None) -> tuple[str, str]:
    """Return bucket and prefix of a URL, or as given; the prefix is empty or ends with a slash.

    >>> split_directory_url("s3://models/micr"), split_directory_url("models", "")
    (('models', 'micr/'), ('models', ''))
    """
    bucket, prefix = split_prefix_url(url) if prefix is None else (url, prefix)
    if not isinstance(prefix, str):
        raise ConfigError(f"prefix={prefix!r} is not a text")
    return bucket, f"{prefix}/" if prefix and not prefix.endswith("/") else prefix


def bucket_and_keys(bucket: Any, keys: Any) -> tuple[str, Any]:
    """Return a bucket and keys as they were given, or, if there are no keys, those of URLs.

    >>> bucket_and_keys(["s3://models/a.npz", "s3://models/b.npz"], None)
    ('models', ['a.npz', 'b.npz'])
    """
    if keys is not None:
        return bucket, keys
    if isinstance(bucket, str) or not hasattr(bucket, "__iter__"):
        raise ConfigError(f"{bucket!r} is no list of URLs: give a bucket and keys, or URLs")
    names = [split_url(url) for url in bucket]
    buckets = {name for name, _ in names}
    if len(buckets) > 1:
        raise ConfigError(f"these URLs name {len(buckets)} buckets: make a call for each of them")
    return (names[0][0] if names else "no bucket", [key for _, key in names])


def split_url_before(bucket: str, key: Any, argument: Any, name: str) -> tuple[str, Any, Any]:
    """Return bucket, key and the argument called `name` of a call ``f(bucket, key, argument)``.

    Where the call was ``f(url, argument)``, the argument came in the place of the key.

    >>> split_url_before("s3://models/e13b.npz", len, None, "loader")
    ('models', 'e13b.npz', <built-in function len>)
    """
    if argument is not None:
        return bucket, key, argument
    if not isinstance(bucket, str) or not bucket.startswith("s3://"):
        raise ConfigError(f"no {name} was given: give bucket, key and {name}, or a URL and {name}")
    return *split_url(bucket), key
