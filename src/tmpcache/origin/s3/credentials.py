"""Credentials of botocore's, as they are at a moment, and when it will refresh them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..scope import Credentials


def frozen(credentials: Any) -> Credentials | None:
    """Return credentials as they are now, without a refresh.

    `get_frozen_credentials` of refreshable credentials would request others when they are due.
    """
    now = getattr(credentials, "_frozen_credentials", credentials)
    if now is credentials:
        now = credentials.get_frozen_credentials()
    if now is None or not now.access_key:
        return None
    return now.access_key, now.secret_key, now.token or ""


def refresh_time(credentials: Any, expiry: Any) -> float | None:
    """Return when botocore will refresh credentials; None if only their class can tell."""
    from botocore import credentials as own

    kinds = own.RefreshableCredentials, own.DeferredRefreshableCredentials
    if type(credentials) not in kinds or credentials._time_fetcher is not getattr(
        own, "_local_now", None
    ):
        return None
    return float(expiry.timestamp() - credentials._advisory_refresh_timeout)
