"""Notes that a request is sent again."""

from __future__ import annotations

from ..common.events import note
from .s3.errors import named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .s3.errors import Subject


def note_retry(subject: Subject, attempt: int, pause: float, error: Exception) -> None:
    """Note that attempt number `attempt` failed, and the pause in seconds before the next one."""
    reason = str(error) or type(error).__name__
    note("Retried", named(subject).identity(), attempt=attempt, seconds=pause, reason=reason)
