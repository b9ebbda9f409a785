"""Requests to one endpoint, retried as botocore would retry them."""

from __future__ import annotations

import time

from ...common.handler_exceptions import reraise_from_handler
from ..endpoint import NotPlainError
from ..retries import note_retry
from ..s3 import timeouts
from ..s3.errors import (
    LATER,
    RefusalError,
    named,
    refuses_condition,
    status_of,
    translated,
)
from ..s3.timeouts import read_timeout
from .connections import ConnectionPool
from .identity import Identities

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..endpoint import Address, Endpoint
    from .request import Request
    from .response import Response

#: Seconds before another attempt at most; the first pause is up to one, each further one longer.
_MAX_PAUSE = 20.0
#: Statuses after which botocore tries again, and codes after which it does whatever the status.
_RETRIED = (429, 500, 502, 503, 504, 509)
_RETRIED_CODES = LATER | {"BadDigest"}


class Client:
    """Sends signed GETs over a pool of connections.

    What sends them is imported with the first one: obstore's origin asks only where to and as whom
    (a tenth of the time to its first object).
    """

    def __init__(
        self, endpoint: Endpoint, options: Mapping[str, str], option_headers: dict[str, str]
    ) -> None:
        self.endpoint, self.option_headers = endpoint, option_headers
        self.identities = Identities(endpoint, options)
        self.pool = ConnectionPool(endpoint)
        #: The addresses of buckets; None if boto3 sends the requests for a bucket.
        self.addresses: dict[str, Address | None] = {}

    def resolve(self, bucket: str) -> str:
        """Note the address of a bucket; return why boto3 must send its requests, "" if not."""
        try:
            self.addresses[bucket] = self.endpoint.address(bucket)
        except NotPlainError as reason:
            self.addresses[bucket] = None
            return str(reason)
        return ""

    def send(self, request: Request) -> Response | None:
        """Return the response, its body unread; None if the object is unchanged (304).

        Raises the errors of tmpcache, and :class:`.errors.NotUnderstoodError`.
        """
        attempts = 0
        while True:
            try:
                response = self._send_once(request)
                if response.status in (200, 206):
                    return response
                if response.status == 304 and "if-none-match" in request.headers:
                    return None
                from .refusals import refusal

                raise refusal(response)
            except (OSError, RefusalError) as error:
                reraise_from_handler(error)
                if refuses_condition(error, *request.conditions):
                    request.drop_conditions()
                    continue
                attempts += 1
                pause = self._pause(error, request, attempts)
            time.sleep(pause)

    def _send_once(self, request: Request) -> Response:
        """Send the request over an idle connection; over a new one if that turns out to be dead."""
        from .response import exchange

        pool, identity = self.pool, self.identities.now(request.subject)
        request.scope, signature = identity.scope, identity.signature
        host, timeout = request.headers["host"], read_timeout(request.deadline)
        idle = pool.take(host)
        if idle is not None:
            try:
                return exchange(idle, request.signed(signature), timeout, pool)
            except OSError as error:
                reraise_from_handler(error)
                if isinstance(error, TimeoutError) or idle.has_received:
                    raise
        connection = pool.connect(host, min(timeout, timeouts.CONNECT_TIMEOUT))
        return exchange(connection, request.signed(signature), timeout, pool)

    def _pause(self, error: Exception, request: Request, attempts: int) -> float:
        """Return the seconds to wait before the next attempt, or raise if there is none.

        They are as botocore's. The error to raise is not put into a local variable: its traceback
        refers to this frame, which would refer to the error. Such a circle lives until the garbage
        collector comes, and keeps what the callers' frames hold, leases for example.
        """
        deadline, status = request.deadline, status_of(error)
        code = getattr(error, "response", {}).get("Error", {}).get("Code")
        max_attempts = self.endpoint.max_attempts
        if deadline is not None and (not status or status >= 500):
            if deadline.asks_once:
                max_attempts = 1
            elif deadline.remaining() < timeouts.RETRY_NEEDS:
                raise deadline.exceeded(named(request.subject)) from error
        is_retried = not status or status in _RETRIED or code in _RETRIED_CODES
        if not is_retried or attempts >= max_attempts:
            raise translated(error, request.subject, scope=request.scope) from error
        from random import random

        pause: float = min(random() * 2 ** (attempts - 1), _MAX_PAUSE)
        if deadline is not None:
            deadline.check(named(request.subject), needed=pause)
        note_retry(request.subject, attempts, pause, error)
        return pause
