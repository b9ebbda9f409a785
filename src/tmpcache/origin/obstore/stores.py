"""What obstore asks through: a store for each bucket, made by what botocore would do with it."""

from __future__ import annotations

import re

from ..s3.timeouts import CONNECT_TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    #: Where the objects of a bucket are, and the region to sign for; "" for no signature.
    BucketAddress = tuple[str, str]


#: Where nobody can listen. obstore follows redirects, and S3's session token goes along in a header
#: that its HTTP client does not know for a secret. So all other hosts are behind this proxy. Other
#: ports of the same host are not: whoever is excluded from a proxy is named without one.
NOWHERE = "0.0.0.0:0"


class _Prepared(Exception):
    """A request that shall not be sent."""

    def __init__(self, request: Any) -> None:
        self.request = request


def _stop(request: Any, **_: object) -> None:
    raise _Prepared(request)


def address_of(client: Any, bucket: str) -> BucketAddress | None:
    """How botocore gets at a bucket.

    None if obstore cannot follow: other signatures than SigV4, or through a proxy.

    Raises what botocore raises: no credentials, not the name of a bucket.
    """
    client.meta.events.register("before-send.s3.HeadObject", _stop, unique_id="tmpcache-road")
    try:
        client.head_object(Bucket=bucket, Key="k")
    except _Prepared as prepared:
        # A frame of botocore keeps the exception, which keeps the frames below it, and so whatever
        # the caller is about to let go of, until the garbage is collected.
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


def tls_options(client: Any) -> Any:
    """Which certificates botocore was told to trust, as obstore is told."""
    verify = getattr(client._endpoint.http_session, "_verify", True)
    if verify is False:
        return {"allow_invalid_certificates": True}
    if isinstance(verify, str):
        with open(verify, "rb") as file:
            return {"root_certificate": file.read()}
    return {}


def make_store(
    bucket: str,
    address: BucketAddress,
    credentials: Any,
    timeout: float,
    trust: Any,
    *,
    payer: bool,
) -> Any:
    """A store that asks for what it is told to, whatever else the environment says."""
    from datetime import timedelta
    from urllib.parse import urlsplit

    from obstore.store import S3Store

    endpoint, region = address
    keys: Any = credentials and {
        "access_key_id": credentials.access_key,
        "secret_access_key": credentials.secret_key,
        "token": credentials.token,
        "expires_at": None,
    }
    options: Any = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=min(timeout, CONNECT_TIMEOUT)),
        "read_timeout": timedelta(seconds=timeout),
        "timeout": timedelta(days=365),  # of the whole body; it is 30 s if nothing is said
        "proxy_url": f"http://{NOWHERE}",
        "proxy_excludes": urlsplit(endpoint).hostname,
        **trust,
    }
    return S3Store(
        bucket,
        config={
            "aws_endpoint_url_s3": endpoint,
            "virtual_hosted_style_request": True,  # which means that the bucket is in the endpoint
            "region": region or "us-east-1",
            "skip_signature": not region,
            "s3_express": False,
            "request_payer": payer,
        },
        client_options=options,
        # Going on with a body, and trying again with an eye on the deadline, is done here.
        retry_config={"max_retries": 0},
        # No code in Python: a signal handler that raised there would pass for missing credentials.
        credential_provider=keys.copy if keys else None,
    )
