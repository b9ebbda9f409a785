"""Time-outs of a request to S3: for a connection, and for the next bytes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...common.deadline import Deadline

#: Seconds to wait for a connection, and for the next bytes. botocore waits a minute for each,
#: which is longer than many functions live.
CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 20.0
#: The read time-outs of calls whose deadline is nearer than that: a few values, since obstore
#: needs a client for each.
_SHORTER_TIMEOUTS = (10.0, 5.0, 2.0, 1.0, 0.5)
#: Seconds that a retry needs: there is a pause of up to one before it, and the response may take
#: one second more.
RETRY_NEEDS = 2.0


def read_timeout(deadline: Deadline | None) -> float:
    """Return the seconds that a call with this deadline may wait for the next bytes."""
    if deadline is None or (left := deadline.remaining()) >= READ_TIMEOUT:
        return READ_TIMEOUT
    return next(
        (shorter for shorter in _SHORTER_TIMEOUTS if shorter <= left), _SHORTER_TIMEOUTS[-1]
    )
