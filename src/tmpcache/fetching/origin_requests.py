"""Requests outside a transfer, and what is recorded of the origin's replies.

A transfer (:mod:`..origin.transfer`) sends the requests for what is missing of an object by itself.
"""

from __future__ import annotations

import time
from copy import copy as shallow_copy

from ..errors import (
    AccessDeniedError,
    DeadlineExceededError,
    ObjectNotFoundError,
    OriginUnavailableError,
)
from ..origin import Reply, Unchanged, scope_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..common.deadline import Deadline
    from ..common.objects import Copy, ObjectName
    from ..origin import Origin
    from ..store import Store
    from .remembered_copies import RememberedCopies
    from .tally import Tally

#: A bucket that did not answer within `_LONG_WAIT` seconds is not asked again for
#: `_UNRESPONSIVE_FOR` seconds where a stale copy may be served. Else many threads and objects would
#: wait one after the other.
_UNRESPONSIVE_FOR, _LONG_WAIT = 5.0, 1.0


class OriginRequests:
    """Asks the origin for objects; records confirmations, refusals and silence."""

    def __init__(
        self,
        origin: Origin,
        store: Store,
        remembered: RememberedCopies,
        tally: Tally,
        clock: Callable[[], float],
    ) -> None:
        self.origin, self._store, self._remembered = origin, store, remembered
        self.tally, self.clock = tally, clock
        #: Origin and bucket, and until when they are not asked (`time.monotonic`).
        self._unresponsive: dict[tuple[str, str], float] = {}

    def with_origin(self, origin: Origin, tally: Tally) -> OriginRequests:
        """Return a copy of this object that sends through `origin`, and counts in `tally`."""
        other = shallow_copy(self)
        other.origin, other.tally = origin, tally
        return other

    def get(
        self, name: ObjectName, deadline: Deadline | None, if_none_match: str = ""
    ) -> Reply | Unchanged:
        """Send one GET, conditional if an ETag is given, and return the reply.

        Raises what the origin raises. A refusal is recorded, and so is a long silence.
        """
        self.tally.add(requests=1)
        asked_at = self.clock()
        sent_at = time.monotonic()
        try:
            reply = self.origin.get(
                name.bucket,
                name.key,
                name.version or None,
                if_none_match=if_none_match,
                deadline=deadline,
            )
        except (OriginUnavailableError, DeadlineExceededError):
            now = time.monotonic()
            if now - sent_at >= _LONG_WAIT and not (deadline and deadline.is_cancelled):
                self._unresponsive[name.origin, name.bucket] = now + _UNRESPONSIVE_FOR
            raise
        except (ObjectNotFoundError, AccessDeniedError) as error:
            self.record_refusal(name, error)
            raise
        self._unresponsive.pop((name.origin, name.bucket), None)
        if reply is None:
            reply = Unchanged()
        if if_none_match and isinstance(reply, Reply) and not reply.etag:
            reply.body.close()
            raise _without_etag(name)
        reply.asked_at = asked_at
        return reply

    def confirm(self, name: ObjectName, copy: Copy, reply: Reply | Unchanged) -> Copy:
        """Record that the origin confirmed a copy to the scope that signed the request."""
        scope = scope_of(self.origin, reply.scope)
        if copy.scope != scope:  # confirmations to other scopes stay in the index
            copy = copy.for_scope(scope)
        copy = self._store.confirm(name, copy, reply.asked_at)
        if copy.validated_at is None:
            self._remembered.forget(name)
        return copy

    def record_refusal(
        self, name: ObjectName, error: ObjectNotFoundError | AccessDeniedError
    ) -> None:
        """Record a 404 or 403: no copy is fresh any more, to anyone or to the scope refused."""
        self._remembered.forget(name)
        if isinstance(error, ObjectNotFoundError):
            self._store.forget(name)
        else:
            self._store.revoke(name, scope_of(self.origin, error.scope))

    def check_responsive(self, name: ObjectName) -> None:
        """Raise :class:`OriginUnavailableError` if the bucket was silent a moment ago."""
        if time.monotonic() < self._unresponsive.get((name.origin, name.bucket), 0.0):
            raise OriginUnavailableError(
                f"{name}: S3 did not answer for this bucket a moment ago, and was not asked again",
                bucket=name.bucket,
                key=name.key,
            )


def _without_etag(name: ObjectName) -> OriginUnavailableError:
    return OriginUnavailableError(
        f"{name}: the answer has no ETag, but the copy here has: something else than the "
        "store may have answered, such as the login page of a network. Check network and "
        "proxy; stale_if_error= serves the copy meanwhile. If the store has stopped "
        "sending ETags, evict the copy.",
        bucket=name.bucket,
        key=name.key,
    )
