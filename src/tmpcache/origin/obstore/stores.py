"""obstore's stores: one for each bucket, with the address that botocore would use."""

from __future__ import annotations

import os
import re

from ..s3.timeouts import CONNECT_TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..scope import Credentials

    #: The URL of a bucket, and the region to sign for; "" for no signature.
    BucketAddress = tuple[str, str]


#: An address at which no server can listen. obstore follows redirects, and S3's session token goes
#: along in a header that its HTTP client does not know for a secret. So this is the proxy for all
#: hosts but the bucket's. Other ports of that host are reached: a proxy is excluded by host only.
NOWHERE = "0.0.0.0:0"
#: Variables that obstore takes a session token from.
_TOKENS = {"AWS_SESSION_TOKEN", "AWS_TOKEN"}


class _PreparedRequest(Exception):
    """Carries a request that botocore has prepared, instead of sending it."""

    def __init__(self, request: Any) -> None:
        self.request = request


def _stop(request: Any, **_: object) -> None:
    raise _PreparedRequest(request)


def address_of(client: Any, bucket: str) -> BucketAddress | None:
    """Return the address of a bucket, from a request that botocore prepares and does not send.

    None if obstore cannot send such requests: other signatures than SigV4, or through a proxy.

    Raises what botocore raises, for example that there are no credentials, or that this is not the
    name of a bucket.
    """
    client.meta.events.register("before-send.s3.HeadObject", _stop, unique_id="tmpcache-address")
    try:
        client.head_object(Bucket=bucket, Key="k")
    except _PreparedRequest as prepared:
        # A frame of botocore holds the exception, which holds the frames below it, and so what the
        # caller is about to release, until the garbage is collected.
        prepared.__traceback__ = None
        url, headers = prepared.request.url, prepared.request.headers
    else:
        raise AssertionError("the request was to be stopped")
    signature = headers.get("Authorization", b"")
    text = signature.decode() if isinstance(signature, bytes) else str(signature)
    signed = re.match(r"AWS4-HMAC-SHA256 Credential=.*/\d{8}/([^/,]+)/s3/aws4_request,", text)
    if not url.endswith("/k") or (text and not signed) or _is_proxied(url):
        return None
    return url[:-2], signed.group(1) if signed else ""


def _is_proxied(url: str) -> bool:
    from botocore.utils import get_environ_proxies

    return url.partition(":")[0] in get_environ_proxies(url)


def tls_options(verify: bool | str) -> Any:
    """Return obstore's options for certificates.

    `verify` is botocore's setting: a CA bundle, "" or True for the default one, False for no check.
    """
    if verify is False:
        return {"allow_invalid_certificates": True}
    if verify and isinstance(verify, str):
        with open(verify, "rb") as file:
            return {"root_certificate": file.read()}
    return {}


def make_store(
    bucket: str,
    address: BucketAddress,
    credentials: Credentials,
    timeout: float,
    tls: Any,
    *,
    payer: bool,
) -> Any:
    """Make a store with these settings only, whatever else the environment says."""
    from datetime import timedelta
    from urllib.parse import urlsplit

    from obstore.store import S3Store

    endpoint, region = address
    options: Any = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=min(timeout, CONNECT_TIMEOUT)),
        "read_timeout": timedelta(seconds=timeout),
        "timeout": timedelta(days=365),  # of the whole body; it is 30 s if nothing is said
        "proxy_url": f"http://{NOWHERE}",
        "proxy_excludes": urlsplit(endpoint).hostname,
        **tls,
    }
    config: Any = {
        "aws_endpoint_url_s3": endpoint,
        "virtual_hosted_style_request": True,  # which means that the bucket is in the endpoint
        "region": region or "us-east-1",
        "skip_signature": not region,
        "s3_express": False,
        "request_payer": payer,
        **_keys(credentials),
    }
    return S3Store(
        bucket,
        config=config,
        client_options=options,
        # The origin retries by itself, as its deadline allows, and the transfer resumes bodies.
        retry_config={"max_retries": 0},
        credential_provider=_provider(credentials),
    )


def _is_told_by_keys(credentials: Credentials) -> bool:
    """Return whether obstore signs with these if it is given them as settings.

    It takes a token from the environment to keys that have none.
    """
    access_key, _, token = credentials
    return bool(access_key and (token or not _TOKENS & os.environ.keys()))


def _keys(credentials: Credentials) -> dict[str, str]:
    if not _is_told_by_keys(credentials):
        return {}
    access_key, secret_key, token = credentials
    keys = {"access_key_id": access_key, "secret_access_key": secret_key}
    return {**keys, "session_token": token} if token else keys


def _provider(credentials: Credentials) -> Any:
    """Return a function that returns the credentials, where settings cannot tell them.

    It is no code in Python: what a signal handler raised in it would pass for missing credentials.
    With a provider, obstore imports `inspect` (8 ms).
    """
    access_key, secret_key, _ = credentials
    if not access_key or _is_told_by_keys(credentials):
        return None
    provided = {
        "access_key_id": access_key,
        "secret_access_key": secret_key,
        "token": None,
        "expires_at": None,
    }
    return provided.copy
