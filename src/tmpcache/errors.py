"""The errors that tmpcache raises. Each is also the builtin that a caller would catch.

::

    TmpCacheError
    ├── ConfigError (ValueError)                a setting or an argument is not valid
    ├── UnsafeRootError (PermissionError)       the root is not private to this user
    ├── ReadOnlyError (PermissionError)         a cached file would be changed
    ├── QuotaExceededError (OSError, ENOSPC)    no room, even after evicting
    ├── TooManyFilesError (OSError, EMFILE)     this process may open no more files
    ├── IntegrityError                          the bytes are not what the origin says they are
    ├── DeadlineExceededError (TimeoutError)    not done in the time the caller has
    ├── FetchManyError (ExceptionGroup)         some of many objects could not be fetched
    └── OriginError                             the origin refused, failed or did not answer
        ├── ObjectNotFoundError (FileNotFoundError)
        ├── AccessDeniedError (PermissionError)
        ├── ObjectChangedError                  replaced while it was read, twice
        └── OriginUnavailableError (ConnectionError)
            └── NotCachedError                  the cache is offline and has no copy

Every error survives pickling, so that it can cross a process pool.

Tracebacks are brief: they end at the public method that raised. ``__cause__`` is what the origin's
library raised. With ``TMPCACHE_TRACEBACKS=full`` both have all frames.
"""

from __future__ import annotations

import errno
import os
import sys

__all__ = [
    "AccessDeniedError",
    "ConfigError",
    "DeadlineExceededError",
    "FetchManyError",
    "IntegrityError",
    "NotCachedError",
    "ObjectChangedError",
    "ObjectNotFoundError",
    "OriginError",
    "OriginUnavailableError",
    "QuotaExceededError",
    "ReadOnlyError",
    "TmpCacheError",
    "TooManyFilesError",
    "UnsafeRootError",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self


#: What is wrong, and what to do.
TOO_MANY_FILES = (
    "this process has too many open files: close some, or raise their limit (ulimit -n)"
)


class TmpCacheError(Exception):
    """Base of every error that tmpcache raises on purpose."""


class ConfigError(TmpCacheError, ValueError):
    """A setting or an argument is not valid; nothing was done."""


class UnsafeRootError(TmpCacheError, PermissionError):
    """The cache directory is not private to this user; it was not touched."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.errno = errno.EPERM


class ReadOnlyError(TmpCacheError, PermissionError):
    """A cached file would be changed, which other callers read; nothing was done."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.errno = errno.EPERM


class QuotaExceededError(TmpCacheError, OSError):
    """There is no room for the bytes, even after evicting all that may be evicted.

    All attributes are bytes: ``needed`` by the call, ``quota`` in force, ``used`` under the root
    (reservations included), ``leased`` by paths that live processes still hold.
    """

    def __init__(
        self, message: str, *, needed: int = 0, quota: int = 0, used: int = 0, leased: int = 0
    ) -> None:
        super().__init__(message)
        self.errno = errno.ENOSPC
        self.needed, self.quota, self.used, self.leased = needed, quota, used, leased


class TooManyFilesError(TmpCacheError, OSError):
    """The process has as many files open as it may; nothing was thrown away for that."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.errno = errno.EMFILE


def too_many_files(subject: object) -> TooManyFilesError:
    """The error for what needs a file more than this process may open."""
    return TooManyFilesError(f"{subject}: {TOO_MANY_FILES}.")


def is_out_of_files(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that no more files may be opened."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:  # causes may form a circle
        if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE):
            return True
        seen.append(error)
        error = error.__cause__ or error.__context__
    return False


def brief(error: TmpCacheError) -> TmpCacheError:
    """Drop the frames of an error, its causes and its parts; return it.

    A public method raises it then, so that a traceback shows the caller's code and the message, and
    keeps no local variable alive. The environment can ask for all frames. What the caller was
    handling when it called keeps its frames: they begin in a frame that is still running.
    """
    if os.environ.get("TMPCACHE_TRACEBACKS") != "full":
        frame, callers = sys._getframe(1).f_back, []
        while frame is not None:
            callers.append(frame)
            frame = frame.f_back
        errors: list[BaseException] = [error]
        for each in errors:  # grows: causes, and parts of a group
            frames = each.__traceback__
            if frames is None or frames.tb_frame not in callers:
                each.__traceback__ = None
                linked = (each.__cause__, each.__context__, *getattr(each, "exceptions", ()))
                errors += [one for one in linked if one is not None and one not in errors]
    return error


class IntegrityError(TmpCacheError):
    """The bytes that arrived are not the object's; nothing was published."""


class DeadlineExceededError(TmpCacheError, TimeoutError):
    """The call could not be finished in the time that its caller has."""


class FetchManyError(TmpCacheError, ExceptionGroup[Exception]):
    """Some of many objects could not be fetched; all others were.

    ``exceptions`` has one error for each object that failed, in the order of the keys; ``results``
    has the paths that :func:`tmpcache.fetch_many` would have returned, None where it failed. It
    works with ``except*``, ``split`` and ``subgroup`` as any group. Each part has the same
    ``results``.
    """

    #: Paths in the order of the keys, None for those that failed.
    results: list[Any]

    def __new__(  # noqa: D102
        cls, message: str, exceptions: Sequence[Exception], results: Sequence[Any] = ()
    ) -> Self:
        self = super().__new__(cls, message, exceptions)
        self.results = list(results)
        return self

    def __init__(
        self, message: str, exceptions: Sequence[Exception], results: Sequence[Any] = ()
    ) -> None:
        super().__init__(message, exceptions)

    def derive(self, exceptions: Sequence[Exception], /) -> FetchManyError:  # type: ignore[override]
        """A group of some of the errors, with the same ``results``."""
        return FetchManyError(self.message, exceptions, self.results)


class OriginError(TmpCacheError):
    """The origin answered with an error that has no class of its own below."""

    def __init__(self, message: str, *, bucket: str = "", key: str = "") -> None:
        super().__init__(message)
        self.bucket, self.key = bucket, key
        #: The scope that the request was signed for; "" if the origin does not say.
        self.scope: str | None = ""


class ObjectNotFoundError(OriginError, FileNotFoundError):
    """The origin has no such bucket, object or version. Never answered from the cache."""

    def __init__(self, message: str, *, bucket: str = "", key: str = "") -> None:
        super().__init__(message, bucket=bucket, key=key)
        self.errno = errno.ENOENT


class AccessDeniedError(OriginError, PermissionError):
    """The origin refuses these credentials. Never answered from the cache."""

    def __init__(self, message: str, *, bucket: str = "", key: str = "") -> None:
        super().__init__(message, bucket=bucket, key=key)
        self.errno = errno.EACCES


class ObjectChangedError(OriginError):
    """The object was replaced during the download, and again during the restart."""


class OriginUnavailableError(OriginError, ConnectionError):
    """The origin could not be reached, throttles, or fails: the one case for `stale_if_error`."""


class NotCachedError(OriginUnavailableError):
    """The cache is offline, and has no copy that the origin has given these credentials."""
