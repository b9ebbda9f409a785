"""What the direct origin would send, and what botocore would: compared, and never sent."""

from __future__ import annotations

import calendar
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import botocore.session
import pytest
from botocore.httpsession import DEFAULT_CA_BUNDLE

from tmpcache.errors import TmpCacheError
from tmpcache.origin.direct.client import Client
from tmpcache.origin.direct.origin import DirectOrigin
from tmpcache.origin.direct.request import Request
from tmpcache.origin.scope import origin_name

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret/+="}
#: What other clients than ours add, and what is not signed.
_OF_THE_CLIENT = (
    "user-agent",
    "x-amzn-trace-id",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "accept-encoding",
)


class _Stopped(Exception):
    def __init__(self, what: Any) -> None:
        self.what = what


def _stop(client: Client, request: Request) -> Any:
    raise _Stopped(request)


@cache
def _models() -> Any:
    return botocore.session.Session().get_component("data_loader")


def botocore_would_send(bucket: str, key: str, **options: Any) -> tuple[Any, Any]:
    """The request, stopped before it is sent, and the client."""
    session = botocore.session.Session()
    session.register_component("data_loader", _models())
    client: Any = boto3.Session(botocore_session=session).client("s3")

    def stop(request: Any, **_: object) -> None:
        raise _Stopped(request)

    client.meta.events.register("before-send.s3", stop)
    try:
        client.get_object(Bucket=bucket, Key=key, **options)
    except _Stopped as stopped:
        return stopped.what, client
    raise AssertionError("it was to be stopped")


def botocore_fails(bucket: str, key: str) -> bool:
    """Whether botocore finds no way to send it, such as credentials that cannot be had."""
    try:
        botocore_would_send(bucket, key)
    except AssertionError:
        raise
    except Exception:
        return True
    return False


def assert_we_send_what_botocore_would(bucket: str, key: str) -> DirectOrigin | None:
    """Compare one request; return our origin, or None if boto3 sends it, or nobody can."""
    try:
        ours = we_would_send(bucket, key, {})
        if ours is None:
            return None
        origin = ours[0]
        assert origin._client is not None
        origin._client.identities.now((bucket, key, None))
    except TmpCacheError:
        assert botocore_fails(bucket, key)
        return None
    assert_they_are_the_same(ours, botocore_would_send(bucket, key))
    return origin


def we_would_send(
    bucket: str, key: str, options: Mapping[str, str], *args: Any, **asked: Any
) -> tuple[DirectOrigin, Any] | None:
    """The question, stopped before it is sent; None if it goes to boto3."""
    origin = DirectOrigin(options)
    if None in origin._route(bucket):
        return None
    with (
        mock.patch.object(Client, "_send_once", _stop),
        pytest.raises(_Stopped) as stopped,
    ):
        origin.get(bucket, key, *args, **asked)
    return origin, stopped.value.what


def assert_they_are_the_same(ours: tuple[DirectOrigin, Any], theirs: tuple[Any, Any]) -> None:
    (origin, question), (request, client) = ours, theirs
    sent = {name.lower(): _text(value) for name, value in request.headers.items()}
    moment = calendar.timegm(time.strptime(sent["x-amz-date"], "%Y%m%dT%H%M%SZ"))
    assert origin._client is not None
    endpoint = origin._client.endpoint
    headers = question.headers.copy()
    origin._client.identities.now(("", "", None)).signature.sign(
        question.path, question.query, headers, moment + 0.5
    )
    for name in _OF_THE_CLIENT:
        sent.pop(name, None)
    assert headers == sent
    query = f"?{question.query}" if question.query else ""
    scheme, _, rest = request.url.partition("://")
    host, slash, path = rest.partition("/")
    usual = {"http": ":80", "https": ":443"}[scheme]
    url = f"{scheme}://{host.removesuffix(usual)}{slash}{path}"
    assert f"{endpoint.scheme}://{headers['host']}{question.path}{query}" == url
    retries = client.meta.config.retries
    most = retries.get("total_max_attempts", {"legacy": 5, "standard": 3}[retries["mode"]])
    assert endpoint.max_attempts == most
    if scheme == "https":
        assert client._endpoint.http_session._verify in (True, endpoint.ca_bundle)
    assert origin.name == origin_name(client.meta.endpoint_url, client.meta.region_name)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@contextmanager
def environment(place: Path, environ: Mapping[str, str], **files: str) -> Iterator[None]:
    """Nothing but these variables, and these files in ``~/.aws``."""
    home = place / "home"
    (home / ".aws").mkdir(parents=True, exist_ok=True)
    for name in ("config", "credentials"):
        path = home / ".aws" / name
        path.unlink(missing_ok=True)
        if name in files:
            path.write_text(files[name].replace("$PLACE", str(place)))
    (place / "token").write_text("of-a-pod")
    (place / "ca.pem").write_bytes(Path(DEFAULT_CA_BUNDLE).read_bytes())
    environ = {name: value.replace("$PLACE", str(place)) for name, value in environ.items()}
    known = {"HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true"}
    with mock.patch.dict(os.environ, {**known, **environ}, clear=True):
        yield
