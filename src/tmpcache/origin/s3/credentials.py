"""Credentials of botocore's: found by its chain, refreshed by it, and as they are at a moment.

Credentials of roles (ECS, EKS, EC2, STS), of SSO and of processes are requested and refreshed by
botocore's own code. So the order of its chain and the moments of a refresh are exact by
construction. No client is needed for that.
"""

from __future__ import annotations

import time

from ...common.handler_exceptions import reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..scope import Credentials


class RefreshTime:
    """When botocore will refresh credentials.

    Their own answer to that takes 30 µs, so the moment is computed once for each expiry.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        #: Credentials, their expiry, and the time from which on they would be refreshed.
        self._last: tuple[object, object, float | None] = None, None, None

    def has_come(self, credentials: Any) -> bool:
        """Return whether botocore would refresh the credentials before it signs with them."""
        expiry = getattr(credentials, "_expiry_time", None)
        if expiry is None:
            return False
        last_credentials, last_expiry, refresh_at = self._last
        if credentials is not last_credentials or expiry is not last_expiry:
            refresh_at = _refresh_time(credentials, expiry)
            self._last = credentials, expiry, refresh_at
        if refresh_at is None:
            return bool(credentials.refresh_needed())
        return time.time() >= refresh_at


class ChainCredentials:
    """What botocore's chain of credential sources has found."""

    __slots__ = ("_refresh_time", "found", "name")

    def __init__(self, found: Any, name: str) -> None:
        #: botocore's object; None if there are no credentials.
        self.found = found
        #: The name of the origin that they are for.
        self.name = name
        self._refresh_time = RefreshTime()

    def next(self) -> Credentials | None:
        """Return the credentials that will sign the next request; None if not known.

        They are not known if botocore would refresh them first.
        """
        found = self.found
        return None if found is None or self._refresh_time.has_come(found) else frozen(found)

    def now(self) -> Credentials:
        """Return credentials to sign a request with, refreshed if botocore would refresh them.

        Raises what botocore raises if there are none.
        """
        if (credentials := self.next()) is not None:
            return credentials
        from botocore.exceptions import NoCredentialsError

        if self.found is None:
            raise NoCredentialsError
        return _as_tuple(self.found.get_frozen_credentials())


def find_credentials(name: str) -> ChainCredentials:
    """Ask botocore's chain for credentials, without making a client; `name` is the origin's.

    A new process takes 240 ms of processor time for that, and 480 ms for boto3 and a client
    (credentials from a server on loopback). One class of botocore.credentials without a session
    would take 200 ms, but then the order of the chain would be ours to keep.

    Raises :class:`~tmpcache.errors.AccessDeniedError` and :class:`~tmpcache.errors.ConfigError` as
    if boto3 had made a client.
    """
    import botocore.session

    from .errors import no_client

    try:
        return ChainCredentials(botocore.session.Session().get_credentials(), name)
    except Exception as error:
        reraise_from_handler(error)
        raise no_client(error) from error


def frozen(credentials: Any) -> Credentials | None:
    """Return credentials as they are now, without a refresh.

    `get_frozen_credentials` of refreshable credentials would request others when they are due.
    """
    now = getattr(credentials, "_frozen_credentials", credentials)
    if now is credentials:
        now = credentials.get_frozen_credentials()
    if now is None or not now.access_key:
        return None
    return _as_tuple(now)


def _as_tuple(frozen: Any) -> Credentials:
    return frozen.access_key, frozen.secret_key, frozen.token or ""


def _refresh_time(credentials: Any, expiry: Any) -> float | None:
    """Return when botocore will refresh credentials; None if only their class can tell."""
    from botocore import credentials as own

    kinds = own.RefreshableCredentials, own.DeferredRefreshableCredentials
    if type(credentials) not in kinds or credentials._time_fetcher is not getattr(
        own, "_local_now", None
    ):
        return None
    return float(expiry.timestamp() - credentials._advisory_refresh_timeout)
