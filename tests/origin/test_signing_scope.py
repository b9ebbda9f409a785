"""Freshness belongs to the keys that signed the very request, whoever signs the next one."""

from __future__ import annotations

import datetime
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.stub import Stubber
from support.door import BODY, Caches, Door, new_client, outcome
from support.handmade import Answer, Asked, etag_of, handmade, object_answer
from support.processes import wait_until

from tmpcache import Cache, Outcome
from tmpcache.errors import AccessDeniedError, OriginUnavailableError


def test_a_handler_that_leaves_requests_unsigned_is_nobody(door: Door, caches: Caches) -> None:
    signed, anonymous = new_client(), new_client()
    assert outcome(caches(client=signed)) is Outcome.FETCHED
    door.denied.add("")
    cache = caches(client=anonymous)
    assert outcome(cache) is Outcome.HIT, "until there is a handler it is the same caller"
    anonymous.meta.events.register("choose-signer.s3.*", lambda **_: botocore.UNSIGNED)
    for options in ({}, {"max_age": 0}, {"stale_if_error": 3600}):
        with pytest.raises(AccessDeniedError):
            outcome(cache, **options)
    door.denied = {"testing"}
    assert [outcome(cache), outcome(cache)] == [Outcome.REVALIDATED, Outcome.HIT]


def test_a_handler_may_change_its_mind(door: Door, caches: Caches) -> None:
    client, is_public = new_client(), False
    client.meta.events.register(
        "choose-signer.s3", lambda **_: botocore.UNSIGNED if is_public else None
    )
    cache = caches(client=client)
    assert [outcome(cache), outcome(cache)] == [Outcome.FETCHED, Outcome.HIT]
    is_public = True
    door.denied.add("")
    with pytest.raises(AccessDeniedError):
        outcome(cache)
    is_public = False
    assert outcome(cache) is Outcome.HIT


@pytest.mark.parametrize("field", ["access_key", "secret_key", "token", "all"])
def test_credentials_that_are_replaced_are_another_caller(
    door: Door, caches: Caches, field: str
) -> None:
    client = new_client()
    cache = caches(client=client)
    assert [outcome(cache), outcome(cache)] == [Outcome.FETCHED, Outcome.HIT]
    signer: Any = client._request_signer
    if field == "all":
        signer._credentials = Credentials("C", "s")
    else:
        setattr(signer._credentials, field, "C")
    asked = len(door.askers())
    door.denied.add("C")
    if field in ("access_key", "all"):
        with pytest.raises(AccessDeniedError):
            outcome(cache)
    else:
        assert outcome(cache) is Outcome.REVALIDATED
    assert len(door.askers()) == asked + 1


def test_credentials_that_are_refreshed_are_another_caller(door: Door, caches: Caches) -> None:
    """And they are never refreshed just to find out who they are."""
    later = iter("BCDEF")
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1)

    def refresh() -> dict[str, str]:
        return {
            "access_key": next(later),
            "secret_key": "s",
            "token": "t",
            "expiry_time": "2100-01-01T00:00:00Z",
        }

    client = new_client()
    credentials: Any = RefreshableCredentials("A", "s", "t", soon, refresh, "test")
    client._request_signer._credentials = credentials
    cache = caches(client=client)
    assert cache._origin.scope is None, "the next request would refresh them"
    assert outcome(cache) is Outcome.FETCHED
    assert outcome(cache) is Outcome.HIT
    credentials._expiry_time = soon
    door.denied.add("C")
    with pytest.raises(AccessDeniedError):
        outcome(cache)
    assert door.askers() == ["B", "C"]


def test_a_refresh_may_itself_ask_s3(door: Door, caches: Caches) -> None:
    """Through another cache, in the midst of a request: each answer keeps its own scope."""
    others = caches()
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1)

    def refresh() -> dict[str, str]:
        key = others.fetch("models", "key-of-B", max_age=0)
        expiry = "2100-01-01T00:00:00Z"
        return {
            "access_key": key.name and "B",
            "secret_key": "s",
            "token": "",
            "expiry_time": expiry,
        }

    client = new_client()
    credentials = RefreshableCredentials("A", "s", "", soon, refresh, "test")
    client._request_signer._credentials = credentials
    cache = caches(client=client)
    assert [outcome(cache), outcome(cache)] == [Outcome.FETCHED, Outcome.HIT]
    assert door.askers() == ["testing", "B"]
    assert outcome(others) is Outcome.REVALIDATED


def test_an_answer_is_for_who_signed_although_another_signs_next(
    door: Door, caches: Caches
) -> None:
    """What A is told while B's credentials arrive is not B's."""
    client = new_client()
    signer: Any = client._request_signer

    def rotate(**_: object) -> None:
        signer._credentials = Credentials("B", "s")

    client.meta.events.register("after-call.s3", rotate)
    door.denied.add("B")
    cache = caches(client=client)
    assert outcome(cache) is Outcome.FETCHED
    assert door.askers() == ["testing"]
    with pytest.raises(AccessDeniedError):
        outcome(cache)
    signer._credentials = Credentials("testing", "testing")
    assert outcome(cache) is Outcome.HIT, "what was said of B is not A's"


def test_who_joins_a_question_under_way_must_be_who_asked_it(door: Door, caches: Caches) -> None:
    client = new_client()
    cache = caches(client=client)
    door.denied.add("B")
    door.opens.clear()
    with ThreadPoolExecutor() as threads:
        first = threads.submit(outcome, cache)
        wait_until(lambda: door.askers() == ["testing"])
        client._request_signer._credentials = Credentials("B", "s")
        second = threads.submit(outcome, cache)
        wait([second], timeout=0.3)
        door.opens.set()
        assert first.result() is Outcome.FETCHED
        with pytest.raises(AccessDeniedError):
            second.result()


def test_the_last_try_of_a_request_says_who_signed(
    door: Door, caches: Caches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    client = new_client()
    signer: Any = client._request_signer

    def rotate(**_: object) -> None:
        if not door.is_down:
            return
        door.is_down = False
        signer._credentials = Credentials("B", "s")

    client.meta.events.register("needs-retry.s3", rotate)
    cache = caches(client=client)
    door.is_down = True
    assert outcome(cache) is Outcome.FETCHED
    assert door.askers() == ["testing", "B"]
    assert outcome(cache) is Outcome.HIT
    signer._credentials = Credentials("testing", "testing")
    assert outcome(cache) is Outcome.REVALIDATED


def test_a_confirmation_is_for_who_was_told(door: Door, caches: Caches) -> None:
    """The 304 of one caller does not make the copy fresh again for another."""
    now = [1e9]
    client = new_client()
    signer: Any = client._request_signer
    mine, others = Credentials("A", "s"), Credentials("B", "s")
    cache = caches(client=client, clock=lambda: now[0])
    for credentials in (mine, others):
        signer._credentials = credentials
        outcome(cache)
    now[0] += 4000
    assert outcome(cache) is Outcome.REVALIDATED
    signer._credentials = mine
    assert outcome(cache) is Outcome.REVALIDATED
    assert door.askers() == ["A", "B", "B", "A"]


def test_a_listing_confirms_to_who_listed(door: Door, caches: Caches) -> None:
    client = new_client()
    signer: Any = client._request_signer
    cache = caches(client=client)
    outcome(cache)
    signer._credentials = Credentials("B", "s")
    assert cache.fetch_prefix("models", "")["a"].outcome is Outcome.REVALIDATED
    assert [asked.who for asked in door.server.asked()] == ["testing", "B", "B"], "list, then get"
    signer._credentials = Credentials("C", "s")
    door.denied.add("C")
    with pytest.raises(AccessDeniedError):
        cache.fetch_prefix("models", "")
    with pytest.raises(AccessDeniedError):
        outcome(cache)


def test_what_was_put_is_confirmed_to_who_put_it(door: Door, caches: Caches) -> None:
    client = new_client()
    signer: Any = client._request_signer

    def rotate(**_: object) -> None:
        signer._credentials = Credentials("B", "s")

    client.meta.events.register("after-call.s3.PutObject", rotate)
    cache = caches(client=client)
    cache.put("models", "a", BODY).release()
    door.denied.add("B")
    with pytest.raises(AccessDeniedError):
        outcome(cache)
    signer._credentials = Credentials("testing", "testing")
    assert outcome(cache) is Outcome.HIT


def test_an_outage_is_bridged_for_who_could_not_ask(door: Door, caches: Caches) -> None:
    """Also while credentials are due for a refresh that fails."""

    def refresh() -> dict[str, str]:
        raise ConnectionError("STS is away, too")

    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=12)
    client = new_client()
    credentials: Any = RefreshableCredentials("A", "s", "t", later, refresh, "test")
    client._request_signer._credentials = credentials
    cache = caches(client=client, max_age=0, stale_if_error=3600)
    assert outcome(cache) is Outcome.FETCHED
    credentials._expiry_time = soon
    door.is_down = True
    assert outcome(cache) is Outcome.STALE
    client._request_signer._credentials = Credentials("B", "s")
    with pytest.raises(OriginUnavailableError):
        outcome(cache)


def test_a_stand_in_that_sends_nothing_answers_whoever_asks(caches: Caches) -> None:
    """botocore's Stubber answers before anything is signed."""
    import io

    client = new_client()
    stubber = Stubber(client)
    stubber.add_response(
        "get_object", {"Body": io.BytesIO(BODY), "ETag": etag_of(BODY), "ContentLength": len(BODY)}
    )
    with stubber:
        cache = caches(client=client)
        assert [outcome(cache), outcome(cache)] == [Outcome.FETCHED, Outcome.HIT]


def test_an_origin_that_says_nothing_of_its_answers_is_asked_who_it_is(root: Path) -> None:
    from support.anywhere import MemoryOrigin

    origin = MemoryOrigin()
    with Cache(root, quota="4 MiB", max_age=3600, origin=origin) as cache:
        for scope, expected in [
            ("one", [Outcome.FETCHED, Outcome.HIT]),
            ("two", [Outcome.REVALIDATED, Outcome.HIT]),
            ("one", [Outcome.HIT, Outcome.HIT]),
        ]:
            origin.scope = scope
            assert [cache.fetch("b", "100-a").outcome for _ in range(2)] == expected


def test_a_session_of_a_directory_bucket_belongs_to_who_began_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its keys sign the requests, for five minutes, whoever the client is by then."""

    def answer(asked: Asked) -> Answer:
        if asked.query != "session":
            return object_answer(asked, BODY)
        names = "SessionToken", "SecretAccessKey", "AccessKeyId"
        fields = "".join(f"<{name}>of-{asked.who}</{name}>" for name in names)
        fields += "<Expiration>2100-01-01T00:00:00Z</Expiration>"
        text = f"<CreateSessionResult><Credentials>{fields}</Credentials></CreateSessionResult>"
        return Answer(200, text.encode(), {"Content-Type": "text/xml"})

    bucket = "models--use1-az4--x-s3"
    with handmade(answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        client = new_client()
        with Cache(root, quota="4 MiB", max_age=3600, client=client) as cache:
            outcomes = [cache.fetch(bucket, "a").outcome for _ in range(2)]
            assert outcomes == [Outcome.FETCHED, Outcome.HIT]
            client._request_signer._credentials = Credentials("B", "s")
            outcomes = [cache.fetch(bucket, "a").outcome for _ in range(2)]
            assert outcomes == [Outcome.REVALIDATED] * 2, "the session is not B's"
        askers = [asked.who for asked in server.asked()]
        assert askers == ["testing", "of-testing", "of-testing", "of-testing"]


def test_what_a_handler_does_to_the_signature_counts(door: Door, caches: Caches) -> None:
    """It may leave it out after botocore has signed."""
    client = new_client()

    def strip(request: Any, **_: object) -> None:
        del request.headers["Authorization"]

    cache = caches(client=client)
    client.meta.events.register("before-send.s3", strip)
    assert outcome(cache) is Outcome.FETCHED
    client.meta.events.unregister("before-send.s3", strip)
    door.denied.add("testing")
    with pytest.raises(AccessDeniedError):
        outcome(cache)
