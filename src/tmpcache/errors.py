"""Everything tmpcache raises, each error also the builtin that a caller would catch.

::

    TmpCacheError
    ├── ConfigError (ValueError)                a setting or an argument that cannot be
    ├── UnsafeRootError (PermissionError)       the root is not safely ours
    ├── QuotaExceededError (OSError, ENOSPC)    no room, whatever is evicted
    ├── IntegrityError                          the bytes are not what the origin says they are
    ├── DeadlineExceededError (TimeoutError)    not done in the time the caller has
    └── OriginError                             the origin's answer, or its silence
        ├── ObjectNotFoundError (FileNotFoundError)
        ├── AccessDeniedError (PermissionError)
        ├── ObjectChangedError                  replaced while it was read, twice
        └── OriginUnavailableError (ConnectionError)

Every error survives pickling, so that it can cross a process pool.
"""

from __future__ import annotations

import errno


class TmpCacheError(Exception):
    """Base of every error that tmpcache raises on purpose."""


class ConfigError(TmpCacheError, ValueError):
    """A setting or an argument that cannot be right; nothing was done."""


class UnsafeRootError(TmpCacheError, PermissionError):
    """The cache directory is not a directory of ours alone; it was not touched."""

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


class IntegrityError(TmpCacheError):
    """The bytes that arrived are not the object's; nothing was published."""


class DeadlineExceededError(TmpCacheError, TimeoutError):
    """The call could not be finished in the time that its caller has."""


class OriginError(TmpCacheError):
    """The origin answered with an error that has no class of its own below."""

    def __init__(self, message: str, *, bucket: str = "", key: str = "") -> None:
        super().__init__(message)
        self.bucket, self.key = bucket, key


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
