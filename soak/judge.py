"""The checks of a worker, and the log of what they find: one line of JSON for each violation."""

from __future__ import annotations

import json
import os
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tmpcache import CachedFile, Outcome
from tmpcache.errors import FetchManyError, TmpCacheError

from . import contents
from .board import Board

#: Seconds for which an answer may be older than `max_age`: a call that joins a download gets the
#: version that it began with, and a process may be stopped in between.
_MAX_LATENESS = 15.0
#: Descriptors that a process may have; one that leaks some with every interrupt gets beyond.
MOST_DESCRIPTORS = 300
#: Of these, files under the root that may stay open once a cache is closed and holds nothing.
MOST_UNDER_ROOT = 4
_OUTCOMES = {outcome: outcome.name.lower() for outcome in Outcome}


class Interrupted(Exception):
    """What the handler of our signal raises."""


@dataclass(frozen=True)
class Asked:
    """What was asked for, when and as whom: what an answer has to fit."""

    access_key: str
    begun: float
    max_age: float
    version_id: str | None = None


class Judge:
    """Checks answers and this process, and reports what breaks a promise."""

    def __init__(self, log: str, board: Board, slot: int, root: str, **facts: Any) -> None:
        """Open the log. `facts` go along with every report: seed, round and so on."""
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._board, self._slot, self._root, self._facts = board, slot, root, facts
        self.operation = ""
        self._bound = MOST_UNDER_ROOT

    def report(
        self, promise: str, what: str, error: BaseException | None = None, before: str = ""
    ) -> None:
        """Log one violation, with the traceback, or with the stack and what was `before` that."""
        where = traceback.format_exception(error) if error else traceback.format_stack()[-5:-1]
        line = {
            **self._facts,
            "promise": promise,
            "what": what,
            "operation": self.operation,
            "traceback": before + "".join(where)[-6000:],
        }
        os.write(self._log, json.dumps(line).encode() + b"\n")

    def answered(self, file: CachedFile, asked: Asked) -> None:
        """Check a path that was just returned: whether it may be, is whole, and is current."""
        key, outcome = file.key, file.outcome
        self._board.add(self._slot, _OUTCOMES[outcome])
        if contents.is_denied(asked.access_key, key):
            self.report("P8", f"{outcome.name} of {key} for {asked.access_key}, whom S3 denies it")
        version = contents.version_of(file.etag)
        if version is None or file.etag != contents.etag_of(key, version):
            self.report("P2", f"{key} has the ETag {file.etag}, which is no ETag of it")
            return
        if asked.version_id not in (None, f"v{version}"):
            self.report("P1", f"{key}: version {asked.version_id} was asked for, {version} came")
        if asked.version_id is None and outcome is not Outcome.STALE:
            late = asked.begun - asked.max_age - contents.replaced_at(key, version)
            if late > _MAX_LATENESS:
                self.report("P13", f"{outcome.name} of {key} is {late:.1f} s older than it may be")
        self.whole(file, file, "verified")

    def whole(self, path: Path, file: CachedFile, counted: str = "reread") -> None:
        """Check that a held path is there, with the bytes that its ETag stands for."""
        try:
            body = path.read_bytes()
        except OSError as error:
            self.report("P4", f"a held path of {file.key} cannot be read: {error}", error)
            return
        version = contents.version_of(file.etag)
        if version is None or body != contents.body_of(file.key, version):
            self.report(
                "P1",
                f"{file.key}, ETag {file.etag}, {file.outcome.name}: {len(body)} bytes of "
                f"{contents.first_line(body)!r} instead of {file.size}",
            )
        self._board.add(self._slot, counted)

    def raised(self, error: BaseException) -> None:
        """Check an exception out of a call: only ours, and that of our own signal handler."""
        if isinstance(error, Interrupted):
            return
        if isinstance(error, FetchManyError):
            for one in error.exceptions:
                self.raised(one)
        elif not isinstance(error, TmpCacheError):
            self.report("errors", f"{type(error).__qualname__}: {error}"[:500], error)
        elif "BadDigest" in str(error):
            self.report("P1", f"something else was put: {error}", error)
        else:
            self._board.add(self._slot, "refused")

    def interrupted(self, error: BaseException | None, stack: str) -> None:
        """Check what came out of a call in which the signal's handler raised, at that stack."""
        if not isinstance(error, Interrupted) and not _was_swallowed_below(error, stack):
            came = "nothing" if error is None else type(error).__qualname__
            self.report(
                "signal", f"{came} came out instead of the handler's exception", error, stack
            )

    def quiet(self) -> None:
        """Check after a call that none of its threads runs, and that descriptors do not add up."""
        left = [one.name for one in threading.enumerate() if one.name.startswith("tmpcache")]
        if left:
            self.report("P6", f"threads that still run: {left}")
        count = len(os.listdir("/proc/self/fd"))
        if count > MOST_DESCRIPTORS:
            self.report("descriptors", f"{count} are open: {_under(self._root)}")
            os._exit(0)

    def closed(self) -> None:
        """Check that a closed cache without held paths has closed its files."""
        left = _under(self._root)
        if len(left) > self._bound:
            self.report("descriptors", f"{len(left)} files are open after close(): {left[:20]}")
            self._bound = len(left)  # each leak is reported once


def _was_swallowed_below(error: BaseException | None, stack: str) -> bool:
    """Return whether Python or a library lost the handler's exception below our code.

    `inspect` does where botocore looks at a hook, and so does every finalizer.
    """
    seen = error
    while seen is not None:
        if isinstance(seen, Interrupted):
            return False
        seen = seen.__cause__ or seen.__context__
    files = [line for line in stack.splitlines() if line.lstrip().startswith("File ")]
    return bool(files) and "/tmpcache/" not in files[-1]


def _under(root: str) -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.startswith(f"{root}/"):
            found.append(target.removeprefix(root))
    return found
