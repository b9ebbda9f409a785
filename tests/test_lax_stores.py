"""Stores that leave out what S3 says, or say it otherwise: what is not said is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from support.handmade import Answer, Asked, HandmadeS3, error, handmade

from tmpcache import Cache, Outcome
from tmpcache.errors import OriginError

BODY = b"hello"


class Stores:
    """Makes the environment's S3 one whose answers a function writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stack: ExitStack) -> None:
        self._monkeypatch, self._stack = monkeypatch, stack

    def __call__(self, answer: Callable[[Asked], Answer]) -> HandmadeS3:
        server = self._stack.enter_context(handmade(answer))
        self._monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        return server


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    with ExitStack() as stack:
        yield Stores(monkeypatch, stack)


@pytest.fixture
def cache(root: Path, store: Stores) -> Iterator[Cache]:
    with Cache(root, quota="64 MiB") as cache:
        yield cache


def entry(key: str, etag: str = '<ETag>"1"</ETag>') -> str:
    return f"<Contents><Key>{key}</Key><Size>5</Size>{etag}</Contents>"


def listing(*entries: str, more: str = "<IsTruncated>false</IsTruncated>") -> Answer:
    text = f"<ListBucketResult>{more}{''.join(entries)}</ListBucketResult>"
    return Answer(200, text.encode(), {"Content-Type": "application/xml"})


def an_object(asked: Asked) -> Answer:
    unchanged = asked.headers.get("if-none-match") == '"1"'
    return Answer(304 if unchanged else 200, b"" if unchanged else BODY, {"ETag": '"1"'})


def paths(server: HandmadeS3) -> list[str]:
    asked = [one.path for one in server.asked()]
    server.log.clear()
    return asked


# ---- listings ----------------------------------------------------------------------------------


def test_a_listing_without_etags_confirms_nothing(store: Stores, cache: Cache) -> None:
    server = store(
        lambda asked: (
            listing("<Contents><Key>a</Key></Contents>")
            if "list-type" in asked.query
            else an_object(asked)
        )
    )
    assert cache.fetch_prefix("models", "")["a"].outcome is Outcome.FETCHED
    assert paths(server) == ["/models", "/models/a"]
    assert cache.fetch_prefix("models", "")["a"].outcome is Outcome.REVALIDATED
    assert paths(server) == ["/models", "/models/a"], "asked for"


@pytest.mark.parametrize("etag", ["1", '"1"', "&quot;1&quot;"])
def test_a_listing_may_write_an_etag_without_quotes(store: Stores, cache: Cache, etag: str) -> None:
    server = store(
        lambda asked: (
            listing(entry("a", f"<ETag>{etag}</ETag>"))
            if "list-type" in asked.query
            else an_object(asked)
        )
    )
    cache.fetch_prefix("models", "")
    assert paths(server) == ["/models", "/models/a"]
    assert cache.fetch_prefix("models", "")["a"].outcome is Outcome.REVALIDATED
    assert paths(server) == ["/models"], "the listing confirmed it"


def test_a_listing_that_cannot_be_gone_on_with_is_not_its_end(store: Stores, cache: Cache) -> None:
    """As of stores that answer as ListObjects did, which named its next page otherwise."""
    keys = [f"p/{number:04}" for number in range(25)]

    def answer(asked: Asked) -> Answer:
        if "list-type" not in asked.query:
            return an_object(asked)
        after = parse_qs(asked.query).get("marker", [""])[0]
        page = [key for key in keys if key > after][:10]
        more = f"<IsTruncated>true</IsTruncated><NextMarker>{page[-1]}</NextMarker>"
        return listing(*map(entry, page), more=more)

    store(answer)
    with pytest.raises(OriginError, match=r"s3://models/p/\*: .* after 10 keys"):
        cache.fetch_prefix("models", "p/")


def test_the_order_of_the_keys_is_made_not_assumed(store: Stores, cache: Cache) -> None:
    """Directory buckets list in none."""
    store(
        lambda asked: (
            listing(*map(entry, ("p/c", "p/a", "p/é", "p/b")))
            if "list-type" in asked.query
            else an_object(asked)
        )
    )
    assert list(cache.fetch_prefix("models", "p/")) == ["p/a", "p/b", "p/c", "p/é"]


def test_keys_that_are_listed_but_not_there_are_told(
    store: Stores, cache: Cache, tmp_path: Path
) -> None:
    """As of gateways that list a key in one encoding and want it in another."""
    store(
        lambda asked: (
            listing(*map(entry, ("p/b", "p/a", "p/here")))
            if "list-type" in asked.query
            else an_object(asked)
            if asked.path.endswith("here")
            else error(404, "NoSuchKey")
        )
    )
    for into in (None, tmp_path / "tree"):
        tree = cache.fetch_prefix("models", "p/", into=into)
        assert (list(tree), tree.missing) == (["p/here"], ("p/a", "p/b"))
        assert "2 missing" in repr(tree)
