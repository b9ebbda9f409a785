"""The boto3 client that asks when none was given, and what every client is taught."""

from __future__ import annotations

import re
import sys

from ...common.interruption import reraise_interrupt
from ...errors import ConfigError, OriginUnavailableError
from .errors import named, no_client
from .origin import ANOTHER, CONNECT_TIMEOUT, READ_TIMEOUT, read_timeout
from .signing import here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..endpoint import Endpoint

#: As many idle connections as there may be threads; botocore keeps 10 and warns about the others.
_CONNECTIONS = 64
#: The dates that an object's headers may have, and an element of a listing.
_DATES = ("Last-Modified", "Expires", "x-amz-object-lock-retain-until-date")
_LISTED_DATE = rb"<LastModified>[^<]*</LastModified>"


def make_client(endpoint: Endpoint | None = None) -> Any:
    """A client as the environment says; one for calls with any deadline.

    With an `endpoint` it asks there and as whom is said there, even if the environment has changed.
    """
    try:
        import boto3
        import botocore.session
        from botocore.config import Config
    except ImportError as error:  # pragma: no cover - a broken installation
        raise ConfigError(f"boto3 cannot be imported ({error}): install it") from error
    fixed: Any = {} if endpoint is None else {"ignore_configured_endpoint_urls": True}
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        max_pool_connections=_CONNECTIONS,
        tcp_keepalive=True,
        **fixed,
    )
    told: dict[str, Any] = {}
    if endpoint is not None:
        names = "aws_access_key_id", "aws_secret_access_key", "aws_session_token"
        told = dict(zip(names, (key or None for key in endpoint.keys), strict=True))
        told["region_name"] = endpoint.region
        told["endpoint_url"] = None if endpoint.is_aws else endpoint.url
    try:
        session = boto3.Session(botocore_session=botocore.session.Session())
        client = session.client("s3", config=config, **told)
    except Exception as error:
        reraise_interrupt(error)
        raise no_client(error) from error
    _check_trust(client)
    _wait_by_deadline(client)
    return client


def _check_trust(client: Any) -> None:
    """Raise :class:`ConfigError` for certificates that cannot be read, before anything is asked."""
    verify = getattr(client._endpoint.http_session, "_verify", True)
    if isinstance(verify, str) and client.meta.endpoint_url.startswith("https:"):
        import ssl

        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(verify)
        except OSError as error:
            reraise_interrupt(error)
            raise ConfigError(
                f"the CA bundle {verify} cannot be read ({error}): let AWS_CA_BUNDLE name a file "
                "of PEM certificates, or unset it"
            ) from error


def _wait_by_deadline(client: Any) -> None:
    """Let each try of a request wait as long as its call may: a client has one time-out for all.

    A client for each time-out would be another caller, if the environment has changed meanwhile.
    """
    from urllib3.util import Timeout

    class ByDeadline(Timeout):
        def clone(self) -> Timeout:  # urllib3 does this for each request
            seconds = read_timeout(None if here.question is None else here.question.deadline)
            return Timeout(connect=min(seconds, CONNECT_TIMEOUT), read=seconds)

    timeout = ByDeadline(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT)
    try:
        http = client._endpoint.http_session
        http._manager.connection_pool_kw["timeout"] = timeout
        http._timeout = timeout  # of connections through proxies, which are made later
    except AttributeError:  # a botocore that keeps it elsewhere: each try waits for the longest
        return


def _give_up_in_time(response: Any = None, caught_exception: Any = None, **_: object) -> None:
    """A hook that ends botocore's retries when there is no time for another one."""
    failed = caught_exception is not None or response is None or response[0].status_code >= 500
    question = here.question
    deadline = None if question is None else question.deadline
    if not (question and deadline and failed):
        return
    if deadline.asks_once:
        raise OriginUnavailableError(f"{named(question.subject)}: S3 fails or throttles")
    if deadline.remaining() < ANOTHER:
        raise deadline.exceeded(named(question.subject)) from caught_exception


def _end_with_a_signal(caught_exception: Exception | None = None, **_: object) -> None:
    """A hook that keeps botocore from asking again after a signal handler has ended a request."""
    frame = sys._getframe(1) if caught_exception is not None else None
    while frame is not None and frame.f_globals.get("__package__") != __package__:
        frame = frame.f_back
    if frame is not None and caught_exception is not None:  # it was asked from here
        reraise_interrupt(caught_exception, frame)


def repair(client: Any) -> None:
    """Teach a client when to stop asking, and to let answers through that botocore refuses."""
    for name, hook in (("time", _give_up_in_time), ("signal", _end_with_a_signal)):
        client.meta.events.register_first(
            "needs-retry.s3", hook, unique_id=f"tmpcache-end-by-{name}"
        )
    _unwrap_errors(client)
    _leave_out_dates(client)


def _unwrap_errors(client: Any) -> None:
    """Let a 304 with checksum headers through (boto3 issue 4765).

    botocore wraps the empty body of the error for checking, and then cannot parse what it wrapped.
    """

    def unwrap(response_dict: dict[str, Any], **_: object) -> None:
        if response_dict["status_code"] >= 300 and not isinstance(response_dict["body"], bytes):
            response_dict["body"] = b""

    client.meta.events.register_last(
        "before-parse.s3.GetObject", unwrap, unique_id="tmpcache-unwrap-errors"
    )


def _leave_out_dates(client: Any) -> None:
    """Let answers through whose dates are none, as those of some stores and proxies.

    botocore raises for one that it cannot parse. Nobody here reads any; what the caller asks
    through the same client stays as it is. A page of a listing takes a quarter of the time without.
    """

    def of_object(response_dict: dict[str, Any], **_: object) -> None:
        if here.question is not None:
            for name in _DATES:
                response_dict["headers"].pop(name, None)

    def of_listing(response_dict: dict[str, Any], **_: object) -> None:
        if here.question is not None:
            response_dict["body"] = re.sub(_LISTED_DATE, b"", response_dict["body"])

    events = client.meta.events
    for operation, hook in (("GetObject", of_object), ("ListObjectsV2", of_listing)):
        events.register_last(
            f"before-parse.s3.{operation}", hook, unique_id=f"tmpcache-dates-{operation}"
        )
