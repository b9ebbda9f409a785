"""Stores that leave out what S3 says, or say it otherwise: what is missing is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from support.handmade import Answer, Asked, HandmadeS3, error, handmade
from support.origins import ORIGINS
from support.wire import Wire, ok

from tmpcache import Cache, CachedFile, Outcome
from tmpcache.errors import AccessDeniedError, ConfigError, OriginError, OriginUnavailableError

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


# ---- conditions --------------------------------------------------------------------------------


@pytest.mark.usefixtures("origin")
@pytest.mark.parametrize("origin", ORIGINS, indirect=True)
@pytest.mark.parametrize(
    ("status", "code"),
    [(501, "NotImplemented"), (400, "InvalidArgument"), (412, "PreconditionFailed")],
)
def test_a_store_without_if_none_match_is_asked_without_it(
    store: Stores, cache: Cache, status: int, code: str
) -> None:
    body, etag = BODY, '"1"'

    def answer(asked: Asked) -> Answer:
        if "if-none-match" in asked.headers:
            return error(status, code)
        return Answer(200, body, {"ETag": etag})

    store(answer)
    outcomes = [cache.fetch("models", "a").outcome for _ in range(2)]
    assert outcomes == [Outcome.FETCHED, Outcome.REVALIDATED]
    body, etag = b"other", '"2"'
    path = cache.fetch("models", "a")
    assert (path.outcome, path.read_bytes()) == (Outcome.FETCHED, b"other")


def test_expired_credentials_are_no_unknown_condition(store: Stores, cache: Cache) -> None:
    is_expired = False
    server = store(lambda asked: error(400, "ExpiredToken") if is_expired else an_object(asked))
    cache.fetch("models", "a").release()
    is_expired = True
    with pytest.raises(AccessDeniedError, match="expired"):
        cache.fetch("models", "a")
    assert len(server.log) == 2


@pytest.mark.usefixtures("origin")
@pytest.mark.parametrize("origin", ORIGINS, indirect=True)
def test_the_login_page_of_a_network_does_not_replace_a_copy(store: Stores, cache: Cache) -> None:
    is_away = False

    def answer(asked: Asked) -> Answer:
        if is_away:
            return Answer(200, b"<html>Welcome to our hotel", {"Content-Type": "text/html"})
        return an_object(asked)

    store(answer)
    cache.fetch("models", "a").release()
    is_away = True
    for _ in range(2):
        with pytest.raises(OriginUnavailableError, match="no ETag"):
            cache.fetch("models", "a")
    path = cache.fetch("models", "a", stale_if_error=3600)
    assert (path.outcome, path.read_bytes()) == (Outcome.STALE, BODY)
    is_away = False
    assert cache.fetch("models", "a").outcome is Outcome.REVALIDATED
    assert cache.usage().leased > 0


# ---- what went wrong, and what to do -----------------------------------------------------------


@pytest.mark.parametrize(("status", "code"), [(404, "NoSuchKey"), (403, "AccessDenied")])
def test_the_key_of_an_event_is_still_encoded(
    store: Stores, cache: Cache, status: int, code: str
) -> None:
    """S3's events have keys as in URLs, with a plus for a space."""
    store(lambda asked: error(status, code))
    with pytest.raises(OriginError, match=r"looks percent-encoded.*unquote_plus"):
        cache.fetch("models", "caf%C3%A9/a+b.jpg")
    for key in ("café/a b.jpg", "100%/a", "a+b"):
        with pytest.raises(OriginError) as caught:
            cache.fetch("models", key)
        assert "unquote_plus" not in str(caught.value)


@pytest.mark.usefixtures("origin")
@pytest.mark.parametrize("origin", ORIGINS, indirect=True)
def test_a_signature_for_another_region_is_told_so(store: Stores, cache: Cache) -> None:
    store(lambda asked: error(400, "AuthorizationHeaderMalformed"))
    with pytest.raises(OriginError, match="because; set AWS_DEFAULT_REGION"):
        cache.fetch("models", "a")


def test_a_region_that_is_none_is_told_before_anything_is_asked(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "not a region")
    with pytest.raises(ConfigError, match="not a region.*AWS_"):
        cache.fetch("models", "a")


@pytest.mark.usefixtures("origin")
@pytest.mark.parametrize("origin", ORIGINS, indirect=True)
@pytest.mark.parametrize(
    "header", [b"x-amz-meta-name: caf\xe9", b"x-amz-meta-name: caf\xc3\xa9", b"x-amz-meta-\xe9: a"]
)
def test_metadata_need_not_be_ascii(
    root: Path, monkeypatch: pytest.MonkeyPatch, header: bytes
) -> None:
    wire = Wire()
    wire.answer = lambda: ok(BODY).replace(b"\r\n\r\n", b"\r\n" + header + b"\r\n\r\n", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", wire.endpoint)
    try:
        with Cache(root, quota="4 MiB") as cache:
            assert cache.fetch("models", "a").read_bytes() == BODY
    finally:
        wire.stop()


# ---- slow stores -------------------------------------------------------------------------------


def test_an_answer_is_as_old_as_its_question(store: Stores, root: Path) -> None:
    """What S3 says may be over by the time that it arrives: fresh is counted from the question."""
    now = 1e9

    def answer(asked: Asked) -> Answer:
        nonlocal now
        now += 50
        return listing(entry("a")) if "list-type" in asked.query else an_object(asked)

    store(answer)
    with Cache(root, quota="4 MiB", max_age=60, clock=lambda: now) as cache:
        questions: list[Callable[[], CachedFile]] = [
            lambda: cache.fetch("models", "a"),
            lambda: cache.fetch("models", "a", max_age=0),
            lambda: cache.fetch_prefix("models", "")["a"],
        ]
        for ask in questions:
            assert ask().outcome in (Outcome.FETCHED, Outcome.REVALIDATED)
            now += 9
            assert cache.fetch("models", "a").outcome is Outcome.HIT
            now += 2
            assert cache.fetch("models", "a").outcome is Outcome.REVALIDATED
            now += 100
