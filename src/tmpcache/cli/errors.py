"""Exit codes, and errors as one line that says what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import click

from ..errors import (
    AccessDeniedError,
    ConfigError,
    DeadlineExceededError,
    FetchManyError,
    ObjectNotFoundError,
    OriginUnavailableError,
    QuotaExceededError,
    TmpCacheError,
    UnsafeRootError,
)
from .output import printable

FAILURE, USAGE, NOT_FOUND, DENIED, UNAVAILABLE, NO_ROOM, INTERRUPTED = 1, 2, 3, 4, 5, 6, 130

#: The first class that an error belongs to decides.
_CODES = (
    (ConfigError, USAGE),
    (ObjectNotFoundError, NOT_FOUND),
    (AccessDeniedError, DENIED),
    (UnsafeRootError, DENIED),
    (OriginUnavailableError, UNAVAILABLE),
    (DeadlineExceededError, UNAVAILABLE),
    (QuotaExceededError, NO_ROOM),
)

HELP = """\b
Exit codes:
  0    done
  1    failed: damage, an object that changed twice while it was read, ...
  2    wrong usage, or a setting that is not valid
  3    no such bucket or object; for rm: not in the cache
  4    access denied, by S3 or by the cache directory
  5    S3 cannot be reached, throttles or fails; or the time is up
  6    no room under the quota or on the disk
  130  interrupted
exec ends with the code of its command; 126, 127: that cannot be run.
"""


class Failure(click.ClickException):
    """A failure that is shown in one line, and ends the process with a code."""

    def __init__(self, message: str, code: int = FAILURE) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc] # click does the same

    def show(self, file: object = None) -> None:
        """Write the line to stderr."""
        say(self.message)


def say(message: str) -> None:
    """Write one line to stderr."""
    click.echo(f"tmpcache: {printable(' '.join(message.split()))}", err=True)


def code_of(error: BaseException) -> int:
    """Return the exit code for an error."""
    if isinstance(error, FetchManyError):
        return code_of(error.exceptions[0])
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILURE)


@contextmanager
def told() -> Iterator[None]:
    """Turn what a command raises into one line and an exit code."""
    try:
        yield
    except FetchManyError as group:
        *others, last = group.exceptions
        for error in others:
            say(str(error))
        raise Failure(str(last), code_of(group)) from group
    except TmpCacheError as error:
        raise Failure(str(error), code_of(error)) from error
    except KeyboardInterrupt:
        raise Failure("interrupted", INTERRUPTED) from None
    except OSError as error:
        if error.errno == errno.EPIPE:  # whoever read stdout has gone; click ends quietly
            raise
        where = f"{error.filename}: " if error.filename else ""
        raise Failure(f"{where}{error.strerror or error}") from error
