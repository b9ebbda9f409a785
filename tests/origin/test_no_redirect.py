"""Requests go to the endpoint or its proxy, never where a redirect leads; certificates count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from support.handmade import Answer, HandmadeS3, handmade
from support.origins import through_each_origin

from tmpcache import Cache, Outcome
from tmpcache.errors import ConfigError, OriginError
from tmpcache.origin.obstore.origin import ObstoreOrigin

pytestmark = through_each_origin


@pytest.fixture
def elsewhere() -> Iterator[HandmadeS3]:
    """A server that nobody was told to ask."""
    with handmade(lambda asked: Answer(200, b"other bytes", {"ETag": '"evil"'})) as server:
        yield server


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "127.0.0.1"])
def test_no_redirect_leads_to_another_host_or_port(
    elsewhere: HandmadeS3, root: Path, monkeypatch: pytest.MonkeyPatch, status: int, host: str
) -> None:
    port = elsewhere.endpoint.rpartition(":")[2]
    headers = {"Location": f"http://{host}:{port}/elsewhere/x"}
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    with ExitStack() as stack:
        server = stack.enter_context(handmade(lambda asked: Answer(status, b"", headers)))
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        cache = stack.enter_context(Cache(root, quota="4 MiB"))
        with pytest.raises(OriginError, match=r"s3://models/a: .*redirect.*check the endpoint URL"):
            cache.fetch("models", "a")
    assert elsewhere.log == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_signature_follows_a_redirect_to_another_port(
    elsewhere: HandmadeS3, root: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Without a session token obstore asks, and does go there, but with empty hands."""
    headers = {"Location": f"{elsewhere.endpoint}/elsewhere/x"}
    with ExitStack() as stack:
        server = stack.enter_context(handmade(lambda asked: Answer(status, b"", headers)))
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        cache = stack.enter_context(Cache(root, quota="4 MiB"))
        with suppress(OriginError):
            cache.fetch("models", "a")
    assert "authorization" in server.log[0].headers
    for asked in elsewhere.log:
        sent = [*asked.headers, asked.query, asked.headers.get("referer", "")]
        assert not any("authorization" in text or "Signature" in text for text in sent)


def test_a_session_token_is_sent_through_obstore_to_aws_alone(
    monkeypatch: pytest.MonkeyPatch, elsewhere: HandmadeS3
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    aws = "https://s3.us-east-1.amazonaws.com"
    for endpoint, asks in [(aws, True), (elsewhere.endpoint, False)]:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        origin = ObstoreOrigin()
        assert (origin._store("models", ("models", "a", None), 1.0)[0] is not None) is asks
        origin.close()


def test_a_proxy_is_used_through_boto3(
    root: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: HandmadeS3, origin: str
) -> None:
    """The proxy that keeps obstore from other hosts takes the place of the real one."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://s3.example")
    monkeypatch.setenv("HTTP_PROXY", elsewhere.endpoint)
    with Cache(root, quota="4 MiB") as cache:
        assert cache.fetch("models", "a").outcome is Outcome.FETCHED
        if isinstance(cache._origin, ObstoreOrigin):
            assert cache._origin._addresses == {"models": None}
    assert [asked.path for asked in elsewhere.log] == ["/models/a"]


@pytest.mark.parametrize("kind", ["missing", "directory", "garbage"])
def test_certificates_that_cannot_be_read_are_told_before_anything_is_asked(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    bundle = tmp_path / "bundle"
    if kind == "directory":
        bundle.mkdir()
    elif kind == "garbage":
        bundle.write_text("no certificate")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://127.0.0.1:9")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    with (
        Cache(root, quota="4 MiB", stale_if_error=3600) as cache,
        pytest.raises(ConfigError, match=f"CA bundle {bundle} .*AWS_CA_BUNDLE"),
    ):
        cache.fetch("models", "a")


def test_certificates_do_not_matter_without_tls(
    root: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: HandmadeS3
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", elsewhere.endpoint)
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere")
    with Cache(root, quota="4 MiB") as cache:
        assert cache.fetch("models", "a").outcome is Outcome.FETCHED


def test_an_endless_redirect_is_told_wherever_it_ends() -> None:
    """Where the stack ends is chance: in botocore's HTTP client it is an error of that client."""
    from botocore.exceptions import HTTPClientError

    from tmpcache.origin.s3.errors import translated

    for error in (RecursionError(), HTTPClientError(error=RecursionError())):
        told = translated(error, ("models", "a", None))
        assert type(told) is OriginError
        assert "redirect" in str(told)
