"""The boto3 client of a direct origin has the settings of the first request, not those of now."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from support.stopped import KEYS, environment
from support.wire import Wire, ok

from tmpcache.origin.configuration import resolve
from tmpcache.origin.direct.origin import DirectOrigin
from tmpcache.origin.s3.client import make_client
from tmpcache.testing import Bucket

#: What an environment may say later; each of it would change the requests of a client.
LATER = {
    "AWS_ACCESS_KEY_ID": "rotated",
    "AWS_CA_BUNDLE": "/nowhere",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_MAX_ATTEMPTS": "7",
    "AWS_PROFILE": "nobody",
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    "AWS_RETRY_MODE": "adaptive",
    "AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS": "true",
    "AWS_S3_USE_ARN_REGION": "true",
    "AWS_SDK_UA_APP_ID": "another",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "REQUESTS_CA_BUNDLE": "/nowhere",
}
CONFIG = """[profile nobody]
s3 =
  addressing_style = virtual
  payload_signing_enabled = true
  use_accelerate_endpoint = true
proxies_config =
  proxy_ca_bundle = /nowhere
tcp_keepalive = false
"""
#: What tmpcache says to one of the two clients, and what names the source of the credentials.
_SAID = {"ignore_configured_endpoint_urls", "proxies", "user_agent"}


def settings_of(client: Any) -> dict[str, Any]:
    """All that decides how a client sends requests."""
    config, http = client.meta.config, client._endpoint.http_session
    return {
        **{name: getattr(config, name) for name in Config.OPTION_DEFAULTS if name not in _SAID},
        "url": client.meta.endpoint_url,
        "region": client.meta.region_name,
        "trust": http._verify,
        "proxy": http._proxy_config.proxy_url_for(client.meta.endpoint_url),
        "credentials": client._request_signer._credentials.get_frozen_credentials(),
    }


@pytest.mark.parametrize(
    "first",
    [
        {},
        {"AWS_DEFAULT_REGION": "ap-southeast-2"},
        {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000", "AWS_MAX_ATTEMPTS": "2"},
        {"AWS_RETRY_MODE": "legacy", "AWS_SESSION_TOKEN": "token"},
        {"AWS_CA_BUNDLE": "$PLACE/ca.pem"},
    ],
)
def test_a_client_made_later_is_the_one_that_would_have_been_made(
    first: dict[str, str], tmp_path: Path
) -> None:
    with environment(tmp_path, {**KEYS, **first}):
        endpoint = resolve()
        expected = settings_of(make_client())
    with environment(tmp_path, {**KEYS, **LATER}, config=CONFIG):
        found = settings_of(make_client(endpoint))
    if "AWS_DEFAULT_REGION" not in first:  # botocore's name for no region
        assert {expected.pop("region"), found.pop("region")} <= {"aws-global", "us-east-1", None}
        for settings in (expected, found):
            settings.pop("region_name")
            settings["url"] = settings["url"].replace("s3.us-east-1.", "s3.")
    if "AWS_MAX_ATTEMPTS" not in first:
        expected["retries"] = {**found["retries"], **expected["retries"]}
    assert found == expected


def test_listings_and_uploads_go_where_the_first_request_went(
    bucket: Bucket, direct: DirectOrigin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("a", b"a")
    reply: Any = direct.get("models", "a")
    reply.body.close()
    for name, value in LATER.items():
        monkeypatch.setenv(name, value)
    (Path(os.environ["HOME"]) / ".aws").mkdir()
    (Path(os.environ["HOME"]) / ".aws" / "config").write_text(CONFIG)
    assert [found.key for found in direct.list("models", "")] == ["a"]
    with (tmp_path / "b").open("w+b") as body:
        assert direct.put("models", "b", body, 0)
    assert [found.key for found in direct.list("models", "")] == ["a", "b"]


def test_what_boto3_repeats_goes_where_the_first_request_went(
    wire: Wire, direct: DirectOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert direct._route("models") != (None, None)
    for name, value in LATER.items():
        monkeypatch.setenv(name, value)
    answers = iter([b"ICY 200 OK\r\n\r\n"])
    wire.answer = lambda: next(answers, ok(b"there"))
    reply: Any = direct.get("models", "a")
    reply.body.close()
    assert len(wire.paths) == 2
