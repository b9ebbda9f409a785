"""Whether S3 can be asked: with which credentials, where, through what, and why so."""

from __future__ import annotations

import os
import time
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ..common.finding import Finding
from ..common.handler_exceptions import reraise_from_handler
from ..errors import TmpCacheError
from .choice import chosen
from .direct.origin import DirectOrigin
from .scope import credentials_of_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_TIMEOUT = 5.0
#: S3 refuses requests whose clock is 15 minutes off (RequestTimeTooSkewed).
_MAX_SKEW = 60.0
_FIX_CA_BUNDLE = "let AWS_CA_BUNDLE name a file of PEM certificates, or unset it"
_GIVE_CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile (AWS_PROFILE), or give the "
    "machine a role"
)


def findings(bucket: str = "", key: str = "", *, offline: bool = False) -> Iterator[Finding]:
    """Look at how S3 is asked; ask about a bucket, or for an object of it, if one is named.

    Where a cache is `offline`, nothing is asked.
    """
    if offline:
        yield Finding("origin", None, "offline: S3 is never asked (TMPCACHE_OFFLINE)")
        return
    try:
        origin: Any = chosen(None, None, None, offline=False)
    except TmpCacheError as error:
        yield Finding(
            "origin", False, str(error), "set TMPCACHE_ORIGIN to one of these, or unset it"
        )
        return
    try:
        yield _credentials()
        try:
            yield _sender(origin)
            url = endpoint_url(origin)
        except TmpCacheError as error:
            yield Finding("endpoint", False, str(error))
            return
        yield from _endpoint(url)
        yield _access(origin, bucket, key)
    finally:
        origin.close()


def _credentials() -> Finding:
    found = credentials_of_environment()
    if found is not None:
        source = "the environment" if os.environ.get("AWS_ACCESS_KEY_ID") else "a profile"
        return Finding("credentials", True, f"access key …{found[0][-4:]}, from {source}")
    try:
        import boto3

        credentials = boto3.Session().get_credentials()
        method = "" if credentials is None else credentials.method
    except Exception as error:
        reraise_from_handler(error)
        return Finding("credentials", False, str(error), _GIVE_CREDENTIALS)
    if not method:
        return Finding("credentials", False, "none are found", _GIVE_CREDENTIALS)
    return Finding("credentials", True, f"from {method}, through boto3")


def _sender(origin: Any) -> Finding:
    if isinstance(origin, DirectOrigin):
        sender, reason = origin.explain()
        return Finding("origin", True, f"{sender}: {reason}")
    name = os.environ.get("TMPCACHE_ORIGIN", "")
    return Finding("origin", True, f"{name}: TMPCACHE_ORIGIN says so")


def endpoint_url(origin: Any) -> str:
    """Return the URL of the server that an origin asks."""
    direct = getattr(origin, "_client", None) if isinstance(origin, DirectOrigin) else None
    if direct is not None:
        endpoint = direct.endpoint
        return f"{endpoint.scheme}://{endpoint.host}:{endpoint.port}"
    from .s3.client import make_client

    client = make_client()
    url: str = client.meta.endpoint_url
    client.close()
    return url


def _endpoint(url: str) -> Iterator[Finding]:
    """Ask the server for nothing in particular: any response shows it is there, and its time."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme in getproxies() and not proxy_bypass(host):
        yield Finding("endpoint", None, f"{url}, through a proxy: not tried")
        return
    try:
        connection = _connection(parts.scheme, host, parts.port)
    except OSError as error:
        reraise_from_handler(error)
        yield Finding("endpoint", False, f"{os.environ['AWS_CA_BUNDLE']}: {error}", _FIX_CA_BUNDLE)
        return
    try:
        connection.request("HEAD", "/")
        date = connection.getresponse().headers.get("Date", "")
    except (OSError, HTTPException) as error:
        reraise_from_handler(error)
        advice = "check network, proxy, AWS_ENDPOINT_URL_S3 and region"
        yield Finding("endpoint", False, f"{url} does not answer: {error}", advice)
        return
    finally:
        connection.close()
    yield Finding("endpoint", True, f"{url} answers")
    yield _clock(date)


def _connection(scheme: str, host: str, port: int | None) -> HTTPConnection:
    if scheme != "https":
        return HTTPConnection(host, port, timeout=_TIMEOUT)
    import ssl

    context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)
    return HTTPSConnection(host, port, timeout=_TIMEOUT, context=context)


def _clock(date: str) -> Finding:
    try:
        skew = parsedate_to_datetime(date).timestamp() - time.time()
    except ValueError:
        return Finding("clock", None, "the server does not tell the time")
    if abs(skew) > _MAX_SKEW:
        found = f"{abs(skew):.0f} s {'behind' if skew > 0 else 'ahead of'} the server's"
        return Finding(
            "clock", False, found, "set it (NTP): S3 refuses 15 minutes, and ages are wrong"
        )
    return Finding("clock", True, "agrees with the server's")


def _access(origin: Any, bucket: str, key: str) -> Finding:
    """Request the object, or list below a key that ends in / or is empty, as a fetch would."""
    if not bucket:
        return Finding("bucket", None, "not asked: name one, as s3://bucket or s3://bucket/key")
    try:
        if key and not key.endswith("/"):
            reply = origin.get(bucket, key)
            reply.body.close()
            return Finding("bucket", True, f"s3://{bucket}/{key} may be read")
        if not hasattr(origin, "list"):
            return Finding("bucket", None, "this origin cannot list: name an object")
        listed = next(iter(origin.list(bucket, key)), None)
        what = "may be listed" if listed else "may be listed, and nothing is there"
        return Finding("bucket", True, f"s3://{bucket}/{key} {what}")
    except TmpCacheError as error:
        return Finding("bucket", False, str(error))
