"""The boto3 client that is made when the caller gives none, and the hooks in every client.

# Deadlines

botocore has one time-out for a client, and retries without regard to time. Here each try of a
request waits as long as its call may (`_wait_by_deadline`), and no retry begins that the call has
no time for (`_stop_at_deadline`). The deadline is that of the call under way in this thread, in
:data:`.signing.current`.

# Lenience

botocore raises for some responses of S3 and of servers like it: a 304 with checksum headers, and
dates in a format of their own. Hooks take out what it cannot parse before it parses.
"""

from __future__ import annotations

import os
import re
import sys

from ...common.handler_exceptions import reraise_from_handler
from ...errors import ConfigError, OriginUnavailableError
from ..scope import ANONYMOUS
from . import timeouts
from .errors import named, no_client
from .signing import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..endpoint import Endpoint

#: Idle connections to keep: one for each thread there may be. botocore keeps 10, and warns about
#: further ones.
_MAX_POOL_CONNECTIONS = 64
#: Bytes of a body that are sent at once. With urllib3's 16 KiB an upload takes a fifth more
#: processor time. More would not save any, and one send has to end within the time-out.
_SEND_SIZE = 128 * 1024
#: The date headers of an object, and the date element of a listing.
_DATES = ("Last-Modified", "Expires", "x-amz-object-lock-retain-until-date")
_LISTED_DATE = rb"<LastModified>[^<]*</LastModified>"


def make_client(endpoint: Endpoint | None = None) -> Any:
    """Make a client from the environment, as boto3 does; it serves calls with any deadline.

    With an `endpoint`, nothing is read from the environment of now: the client sends to the
    endpoint, with its credentials and as the environment said when it was resolved.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.session import Session
    except ImportError as error:  # pragma: no cover - a broken installation
        raise ConfigError(f"boto3 cannot be imported ({error}): install it") from error
    options: dict[str, Any] = {} if endpoint is None else _options_of(endpoint)
    config = Config(
        connect_timeout=timeouts.CONNECT_TIMEOUT,
        read_timeout=timeouts.READ_TIMEOUT,
        max_pool_connections=_MAX_POOL_CONNECTIONS,
        tcp_keepalive=True,
        **options.pop("config", {}),
    )
    try:
        session = Session()
        if endpoint is not None:
            _configure(session, endpoint)
        client = boto3.Session(botocore_session=session).client("s3", config=config, **options)
    except Exception as error:
        reraise_from_handler(error)
        raise no_client(error) from error
    _check_trust(client)
    _wait_by_deadline(client)
    return client


def _options_of(endpoint: Endpoint) -> dict[str, Any]:
    """Return what a client for an endpoint is told; else it would read the environment of now."""
    return {
        "region_name": endpoint.region,
        "endpoint_url": endpoint.url or None,
        "verify": endpoint.ca_bundle or True,
        "config": {"ignore_configured_endpoint_urls": True, "proxies": {}},
    }


def _configure(session: Any, endpoint: Endpoint) -> None:
    """Let a session have the settings of an endpoint, whatever variables and files say now.

    A configuration that is plain sets nothing else, so all others are botocore's defaults.
    """
    session.register_component("credential_provider", _Resolved(endpoint))
    settings = {name: default for name, (_, _, default, _) in session.SESSION_VARIABLES.items()}
    settings |= {"retry_mode": endpoint.retry_mode, "max_attempts": endpoint.max_attempts}
    settings |= {"config_file": os.devnull, "credentials_file": os.devnull}
    settings |= {"s3": None, "proxies_config": None}  # whole sections of a profile
    store = session.get_component("config_store")
    for name, value in settings.items():
        store.set_config_variable(name, value)


class _Resolved:
    """botocore's source of credentials in a session for an endpoint: those of the endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def load_credentials(self) -> Any:
        """Return static credentials, or what the chain has found; None if there are none."""
        if self._endpoint.chain is not None:
            return self._endpoint.chain.found
        from botocore.credentials import Credentials

        key_id, secret, token = self._endpoint.credentials or ANONYMOUS
        return Credentials(key_id, secret, token or None)


def _check_trust(client: Any) -> None:
    """Raise :class:`ConfigError` if the CA bundle cannot be read, before the first request."""
    verify = getattr(client._endpoint.http_session, "_verify", True)
    if isinstance(verify, str) and client.meta.endpoint_url.startswith("https:"):
        import ssl

        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(verify)
        except OSError as error:
            reraise_from_handler(error)
            raise ConfigError(
                f"the CA bundle {verify} cannot be read ({error}): let AWS_CA_BUNDLE name a file "
                "of PEM certificates, or unset it"
            ) from error


def _wait_by_deadline(client: Any) -> None:
    """Let each try of a request wait as long as its call may.

    A client has one time-out for all requests. A second client with another one would be made from
    the environment of a later moment, and could have other credentials.
    """
    from urllib3.util import Timeout

    class ByDeadline(Timeout):
        def clone(self) -> Timeout:  # urllib3 does this for each request
            deadline = None if current.call is None else current.call.deadline
            seconds = timeouts.read_timeout(deadline)
            return Timeout(connect=min(seconds, timeouts.CONNECT_TIMEOUT), read=seconds)

    timeout = ByDeadline(connect=timeouts.CONNECT_TIMEOUT, read=timeouts.READ_TIMEOUT)
    try:
        http = client._endpoint.http_session
        http._manager.connection_pool_kw["blocksize"] = _SEND_SIZE
        http._manager.connection_pool_kw["timeout"] = timeout
        http._timeout = timeout  # of connections through proxies, which are made later
    except AttributeError:  # a botocore that keeps it elsewhere: each try waits for READ_TIMEOUT
        return


def _stop_at_deadline(response: Any = None, caught_exception: Any = None, **_: object) -> None:
    """End botocore's retries if there is no time for the next one. A hook."""
    failed = caught_exception is not None or response is None or response[0].status_code >= 500
    call = current.call
    deadline = None if call is None else call.deadline
    if not (call and deadline and failed):
        return
    if deadline.asks_once:
        raise OriginUnavailableError(f"{named(call.subject)}: S3 fails or throttles")
    if deadline.remaining() < timeouts.RETRY_NEEDS:
        raise deadline.exceeded(named(call.subject)) from caught_exception


def _stop_at_interrupt(caught_exception: Exception | None = None, **_: object) -> None:
    """End botocore's retries after a signal handler has interrupted the request. A hook."""
    frame = sys._getframe(1) if caught_exception is not None else None
    while frame is not None and frame.f_globals.get("__package__") != __package__:
        frame = frame.f_back
    if frame is not None and caught_exception is not None:  # the request is tmpcache's
        reraise_from_handler(caught_exception, frame)


def repair(client: Any) -> None:
    """Hook into a client: deadlines and interrupts end its retries, and it parses leniently."""
    for name, hook in (("time", _stop_at_deadline), ("signal", _stop_at_interrupt)):
        client.meta.events.register_first(
            "needs-retry.s3", hook, unique_id=f"tmpcache-end-by-{name}"
        )
    _unwrap_errors(client)
    _remove_dates(client)


def _unwrap_errors(client: Any) -> None:
    """Let botocore parse a 304 with checksum headers (boto3 issue 4765).

    It wraps the empty body of the error to verify its checksum, and then cannot parse the wrapper.
    """

    def unwrap(response_dict: dict[str, Any], **_: object) -> None:
        if response_dict["status_code"] >= 300 and not isinstance(response_dict["body"], bytes):
            response_dict["body"] = b""

    client.meta.events.register_last(
        "before-parse.s3.GetObject", unwrap, unique_id="tmpcache-unwrap-errors"
    )


def _remove_dates(client: Any) -> None:
    """Remove the dates from responses before botocore parses them.

    Some servers and proxies send dates that it cannot parse, and it raises for those. tmpcache
    reads none. Responses to the caller's own requests through the same client keep theirs. Without
    dates, a page of a listing is parsed in a quarter of the time.
    """

    def of_object(response_dict: dict[str, Any], **_: object) -> None:
        if current.call is not None:
            for name in _DATES:
                response_dict["headers"].pop(name, None)

    def of_listing(response_dict: dict[str, Any], **_: object) -> None:
        if current.call is not None:
            response_dict["body"] = re.sub(_LISTED_DATE, b"", response_dict["body"])

    events = client.meta.events
    for operation, hook in (("GetObject", of_object), ("ListObjectsV2", of_listing)):
        events.register_last(
            f"before-parse.s3.{operation}", hook, unique_id=f"tmpcache-dates-{operation}"
        )
