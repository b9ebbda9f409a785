"""Tells what became of a fetch that no fresh copy answered: noted, then delivered at its end."""

from __future__ import annotations

from time import monotonic

from ..cached_file import Outcome
from ..common.events import note, noted
from ..common.subscriptions import deliver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..cached_file import CachedFile
    from ..common.objects import Copy

_KINDS = {Outcome.FETCHED: "Fetched", Outcome.REVALIDATED: "Revalidated"}


class Telling:
    """``with``: yields a function that notes what came of a fetch; then all noted is delivered."""

    __slots__ = ("_began",)

    def __enter__(self) -> Callable[[CachedFile], CachedFile]:
        self._began = monotonic()
        return self._note

    def __exit__(self, *_: object) -> None:
        deliver()

    def _note(self, file: CachedFile) -> CachedFile:
        """Note what came of the fetch; return the path as it is."""
        seconds = monotonic() - self._began
        if file.outcome in _KINDS:
            note_outcome(file, seconds)
        elif file.outcome is Outcome.HIT and not any(kind == "Waited" for kind, _ in noted.events):
            # Brought by another thread. Of another process's download the wait was noted already.
            note("Waited", file._copy.identity, seconds=seconds, other="thread")
        return file


def note_outcome(file: CachedFile, seconds: float | None) -> None:
    """Note that an object was fetched or revalidated, in so many seconds."""
    copy = file._copy
    identity = (*copy.identity[:2], copy.version_id or copy.identity[2])
    note(_KINDS[file.outcome], identity, bytes=copy.size, seconds=seconds)


def note_stale(copy: Copy, now: float, error: Exception, *, is_expected: bool) -> None:
    """Note that a stale copy is served because of an error; not if it `is_expected` (offline)."""
    if not is_expected:
        age = now - (copy.validated_at or now)
        note("Stale", copy.identity, age=age, reason=str(error))
