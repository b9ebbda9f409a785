"""How often a transfer may break, and how long it waits before each retry."""

from __future__ import annotations

import random

from ...common.events import note
from ...errors import OriginUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...common.deadline import Deadline
    from ...common.objects import ObjectName

#: How often a body may break with less than `_PROGRESS` bytes in between.
_MAX_BREAKS = 5
_PROGRESS = 1024 * 1024
#: Seconds before the first retry; doubled for each further one, and spread by half.
_PAUSE = 0.1


class Backoff:
    """Counts how often a transfer breaks without progress, and ends it after `max_breaks`."""

    def __init__(
        self, name: ObjectName, deadline: Deadline | None, max_breaks: int = _MAX_BREAKS
    ) -> None:
        self._name, self._deadline, self._max_breaks = name, deadline, max_breaks
        self._received_before = self._breaks = 0

    def pause(self, error: OriginUnavailableError, received: int, size: int | None) -> float:
        """Return the seconds to wait before the next retry; raise if there is none left.

        `received` counts the bytes of the object that have arrived. After a restart it is smaller
        than before: only bytes beyond the highest number so far are progress.
        """
        if received >= self._received_before + _PROGRESS:
            self._breaks, self._received_before = 0, received
        self._breaks += 1
        if self._breaks >= self._max_breaks:
            raise OriginUnavailableError(
                f"{self._name}: the transfer broke {self._breaks} times, the last time with "
                f"{received} of {size} bytes here ({error}): try again",
                bucket=self._name.bucket,
                key=self._name.key,
            ) from error
        pause: float = _PAUSE * 2 ** (self._breaks - 1) * random.uniform(0.5, 1.5)
        if self._deadline is not None:
            self._deadline.check(self._name, needed=pause)
        identity = self._name.identity()
        note("Retried", identity, attempt=self._breaks, seconds=pause, reason=str(error))
        return pause
