"""Endpoint and credentials of a direct origin stay those of its first request, also in boto3."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.content import content
from support.listener import body_of

from tmpcache import Cache, Outcome
from tmpcache.errors import (
    OriginUnavailableError,
)
from tmpcache.origin import Reply
from tmpcache.origin.direct.origin import DirectOrigin
from tmpcache.origin.s3.origin import S3Origin
from tmpcache.testing import Bucket

BODY = content("body", 700_000)


def test_who_asks_stays_who_asked_first_through_boto3_as_well(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rotated environment is for the next client; two callers in one origin would be a mix-up."""
    bucket.put("a", b"a")
    origin = DirectOrigin()
    first = origin.scope
    body_of(origin.get("models", "a"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "rotated")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "new")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    body_of(origin.get("models", "a"))
    listed = [*origin.list("models", "a")]
    assert [found.scope for found in listed] == [first]
    assert origin.scope == first
    signed = [request.headers["authorization"] for request in bucket.server.requests[-3:]]
    assert all("=testing/" in one and "/us-east-1/" in one for one in signed)
    origin.close()
    assert origin.scope != first
    with pytest.raises(OriginUnavailableError):
        origin.get("models", "a")


@pytest.mark.parametrize("url", ["http://s3.test", "http://s3.test:80/", "https://s3.test:443"])
def test_the_boto3_client_of_the_origin_has_the_same_scope_however_the_url_is_written(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a listing would confirm no copy that a direct request has brought."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
    before = S3Origin().scope
    origin = DirectOrigin()
    assert origin._route("models") != (None, None)
    signer = origin._boto3_signer()
    assert origin._scope_of(signer.name, signer.next()) == origin.scope == before
    origin.close()


def test_a_listing_that_comes_first_decides_who_asks(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("a", b"a")
    origin = DirectOrigin()
    assert [*origin.list("models", "a")]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "rotated")
    reply = origin.get("models", "a")
    assert isinstance(reply, Reply)
    assert reply.scope == origin.scope
    assert "=testing/" in bucket.gets("a")[-1].headers["authorization"]
    reply.body.close()


def test_all_origins_share_copies_and_what_they_were_told(bucket: Bucket, root: Path) -> None:
    bucket.put("a", BODY)
    assert Cache(root, origin="direct").fetch("models", "a").outcome is Outcome.FETCHED
    for name in ("auto", "boto3", "obstore"):
        assert Cache(root, origin=name).fetch("models", "a", max_age=60).outcome is Outcome.HIT
    payer = {"RequestPayer": "requester"}
    assert DirectOrigin(payer).scope == S3Origin(None, payer).scope != S3Origin().scope
