"""Freshness belongs to the keys that signed the very request, whoever signs the next one."""

from __future__ import annotations

import datetime
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import botocore
import pytest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.stub import Stubber
from support.handmade import Answer, Asked, HandmadeS3, error, etag_of, handmade, object_answer
from support.origins import ORIGINS
from support.processes import spawn, wait_until

from tmpcache import Cache, Outcome
from tmpcache.errors import AccessDeniedError, OriginUnavailableError
from tmpcache.origin.s3.origin import S3Origin
from tmpcache.origin.scope import keys_of_environment, name_from_environment, origin_name

BODY = b"for those who may read it"


class Door:
    """One object behind a door: `denied` are the access key ids that it stays closed to."""

    def __init__(self, server: HandmadeS3) -> None:
        self.server = server
        self.denied: set[str] = set()
        self.is_down = False
        #: Answers wait until this is set.
        self.opens = threading.Event()
        self.opens.set()

    def askers(self) -> list[str]:
        """Who signed the requests so far, in order."""
        return [asked.who for asked in self.server.asked()]


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    def answer(asked: Asked) -> Answer:
        made.opens.wait(30)
        if made.is_down:
            return error(503, "SlowDown")
        if asked.who in made.denied:
            return error(403, "AccessDenied")
        if "list-type" in asked.query:
            etag = etag_of(BODY).replace('"', "&quot;")
            entry = f"<Key>a</Key><ETag>{etag}</ETag><Size>{len(BODY)}</Size>"
            text = (
                "<ListBucketResult><IsTruncated>false</IsTruncated>"
                f"<Contents>{entry}</Contents></ListBucketResult>"
            )
            return Answer(200, text.encode())
        if asked.method == "PUT":
            return Answer(200, b"", {"ETag": etag_of(asked.body)})
        return object_answer(asked, BODY)

    with handmade(answer) as server:
        made = Door(server)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        yield made


class Caches:
    """Caches over one directory."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self._root, self._stack = root, stack

    def __call__(self, **settings: Any) -> Cache:
        cache = Cache(self._root, quota="4 MiB", **{"max_age": 3600, **settings})
        return self._stack.enter_context(cache)


@pytest.fixture
def caches(root: Path, door: Door) -> Iterator[Caches]:
    with ExitStack() as stack:
        yield Caches(root, stack)


def outcome(cache: Cache, **options: Any) -> Outcome:
    return cache.fetch("models", "a", **options).outcome


def new_client() -> Any:
    """A client whose credentials no other one has: boto3's default session shares them."""
    return boto3.session.Session().client("s3")


class Context:
    """What Lambda gives a function with so many seconds left."""

    def __init__(self, seconds: float) -> None:
        self.milliseconds = int(seconds * 1000)

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


# ---- clients made from the environment ---------------------------------------------------------


@pytest.mark.parametrize("seconds", [15, 8, 3, 1.7])
def test_a_shorter_deadline_is_the_same_caller(
    door: Door, caches: Caches, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """There was a client for each time-out, made from the environment of that moment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "A")
    door.denied.add("A")
    cache = caches()
    with pytest.raises(AccessDeniedError):
        outcome(cache)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "B")
    with cache.invocation(Context(seconds)), pytest.raises(AccessDeniedError):
        outcome(cache)
    with pytest.raises(AccessDeniedError):
        outcome(cache)
    assert set(door.askers()) == {"A"}


def test_a_shorter_deadline_asks_the_same_endpoint(
    door: Door, caches: Caches, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = caches(max_age=0)
    assert outcome(cache) is Outcome.FETCHED
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with cache.invocation(Context(3)):
        assert outcome(cache) is Outcome.REVALIDATED


@pytest.mark.usefixtures("origin")
@pytest.mark.parametrize("origin", ORIGINS, indirect=True)
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_ACCESS_KEY_ID", "B"),
        ("AWS_SECRET_ACCESS_KEY", "wrong"),
        ("AWS_SESSION_TOKEN", "other"),
        ("AWS_SECURITY_TOKEN", "other"),
        ("AWS_CREDENTIAL_EXPIRATION", "2100-01-01T00:00:00Z"),
    ],
)
def test_a_changed_variable_is_another_caller(
    door: Door, caches: Caches, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """Before there is a client: it would be made from what the environment says then."""
    assert outcome(caches()) is Outcome.FETCHED
    cache = caches()
    assert outcome(cache) is Outcome.HIT
    asked = len(door.askers())
    monkeypatch.setenv(variable, value)
    assert outcome(cache) is Outcome.REVALIDATED
    assert len(door.askers()) == asked + 1


@pytest.mark.parametrize(
    "variable", ["AWS_ENDPOINT_URL_S3", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_ENDPOINT_URL"]
)
def test_a_changed_endpoint_is_another_store(
    door: Door, caches: Caches, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """The same caller has another object of the same name there."""
    if variable == "AWS_ENDPOINT_URL":
        monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
        monkeypatch.setenv("AWS_ENDPOINT_URL", door.server.endpoint)
    outcome(caches())
    cache = caches()
    assert outcome(cache) is Outcome.HIT
    before = cache._origin.scope
    monkeypatch.setenv(variable, "true" if "IGNORE" in variable else "http://127.0.0.1:9")
    assert cache._origin.scope != before
    if "IGNORE" not in variable:  # that would be AWS itself
        with pytest.raises(OriginUnavailableError):
            outcome(cache)


def test_a_changed_profile_is_another_caller(
    door: Door, caches: Caches, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    file.write_text(
        "[default]\naws_access_key_id = A\naws_secret_access_key = s\n"
        "[other]\naws_access_key_id = B\naws_secret_access_key = s\n"
    )
    assert outcome(caches()) is Outcome.FETCHED
    cache = caches()
    assert outcome(cache) is Outcome.HIT
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert outcome(cache) is Outcome.REVALIDATED
    monkeypatch.delenv("AWS_PROFILE")
    cache = caches()
    assert outcome(cache) is Outcome.HIT
    file.write_text("[default]\naws_access_key_id = C\naws_secret_access_key = s\n")
    assert outcome(cache) is Outcome.REVALIDATED
    assert door.askers() == ["A", "B", "C"]


def test_credentials_that_the_environment_renews_are_who_they_are_now(
    door: Door, caches: Caches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``AWS_CREDENTIAL_EXPIRATION``: botocore reads the environment again before that."""
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "A")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", soon.isoformat())
    cache = caches()
    assert outcome(cache) is Outcome.FETCHED
    door.denied.add("B")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "B")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2100-01-01T00:00:00Z")
    with pytest.raises(AccessDeniedError):
        outcome(cache)
    door.denied.clear()
    assert [outcome(cache), outcome(cache)] == [Outcome.REVALIDATED, Outcome.HIT]
    assert door.askers() == ["A", "B", "B"]


@pytest.mark.parametrize("taken", ["before", "after"])
def test_credentials_that_are_taken_away_are_told(
    door: Door, caches: Caches, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    """Before there is a client, or when it would renew them."""
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", soon.isoformat())
    cache = caches(stale_if_error=3600)
    if taken == "after":
        outcome(cache)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AccessDeniedError, match="there are no AWS credentials"):
        outcome(cache)


def test_a_forked_child_is_who_its_environment_says(door: Door, root: Path) -> None:
    code = """
        from tmpcache import Cache
        cache = Cache(root, quota="4 MiB", max_age=3600)
        cache.fetch("models", "a").release()
        if not os.fork():
            first = cache.fetch("models", "a").outcome.name
            os.environ["AWS_ACCESS_KEY_ID"] = "B"
            say([first, cache.fetch("models", "a").outcome.name])
            os._exit(0)
        os.wait()
    """
    with spawn(code, root=str(root)) as child:
        assert child.hear() == ["HIT", "REVALIDATED"]
    assert door.askers() == ["testing", "B"]


# ---- clients of the caller's -------------------------------------------------------------------


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


# ---- what the environment means ----------------------------------------------------------------

FILES = {
    "credentials": "[default]\naws_access_key_id: A\naws_secret_access_key = s\n"
    "[mine]\naws_access_key_id = M\naws_secret_access_key = s\naws_session_token = t\n"
    "aws_security_token = u\n[half]\naws_access_key_id = H\n[run]\ncredential_process = /bin/x\n"
    "[chained]\naws_access_key_id = X\naws_secret_access_key = s\n",
    "config": "[default]\nregion = us-east-1\ns3 =\n  addressing_style = path\n"
    '[profile  "mine"]\nregion = us-east-1\n[profile inline]\naws_access_key_id = I\n'
    "aws_secret_access_key = s\n[profile chained]\nrole_arn = arn:aws:iam::1:role/r\n"
    "source_profile = default\n",
}


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s"},
        {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s", "AWS_PROFILE": "mine"},
        {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"},
        {
            "AWS_ACCESS_KEY_ID": "A",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_SECURITY_TOKEN": "u",
            "AWS_SESSION_TOKEN": "t",
        },
        {},
        {"AWS_PROFILE": "mine"},
        {"AWS_PROFILE": "inline"},
        {"AWS_PROFILE": "mine", "AWS_DEFAULT_PROFILE": "default"},
    ],
)
def test_the_environment_means_what_botocore_takes_it_for(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_files(monkeypatch, tmp_path, environ)
    found = botocore.session.Session().get_credentials()
    assert found is not None
    credentials = found.get_frozen_credentials()
    assert keys_of_environment() == (
        credentials.access_key,
        credentials.secret_key,
        credentials.token or "",
    )
    origin = S3Origin()
    before = origin.name, origin.scope
    origin._connected()
    assert before == (origin.name, origin.scope), "a client changes nothing"


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_ACCESS_KEY_ID": "A"},
        {
            "AWS_ACCESS_KEY_ID": "A",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_CREDENTIAL_EXPIRATION": "2100-01-01T00:00:00Z",
        },
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "arn:aws:iam::1:role/r"},
        {"AWS_PROFILE": "half"},
        {"AWS_PROFILE": "run"},
        {"AWS_PROFILE": "chained"},
        {"AWS_PROFILE": "nobody"},
        {"AWS_SHARED_CREDENTIALS_FILE": "/nowhere"},
    ],
)
def test_what_only_boto3_could_find_out_is_unknown(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_files(monkeypatch, tmp_path, environ)
    assert keys_of_environment() is None
    assert S3Origin().scope is None


def use_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environ: dict[str, str]) -> None:
    for variable, name in (
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        ("AWS_CONFIG_FILE", "config"),
    ):
        (tmp_path / name).write_text(FILES[name])
        monkeypatch.setenv(variable, str(tmp_path / name))
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)


def test_an_environment_that_is_a_plain_dictionary_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    origin = S3Origin()
    before = origin.scope
    os.environ["AWS_SESSION_TOKEN"] = "t"
    assert before is not None
    assert origin.scope not in (None, before)


@pytest.mark.parametrize(
    "region",
    ["us-east-1", "eu-west-1", "cn-north-1", "us-gov-west-1", "us-iso-east-1", "us-isob-east-1"],
)
@pytest.mark.parametrize("variable", ["", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT"])
def test_a_client_of_aws_has_the_name_that_the_environment_promised(
    monkeypatch: pytest.MonkeyPatch, region: str, variable: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    if variable:
        monkeypatch.setenv(variable, "true")
    promised = name_from_environment()
    meta = new_client().meta
    assert promised == origin_name(meta.endpoint_url, meta.region_name)
    assert promised is not None
    assert promised.startswith("aws")


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://s3.amazonaws.com.evil.example",
        "https://amazonaws.com",
        "https://evilamazonaws.com",
        "https://s3.evil.amazonaws.com.example.org/",
        "http://10.0.0.1/s3.amazonaws.com",
        "http://10.0.0.1/?s3.amazonaws.com",
        "https://s3.amazonaws.com@evil.example",
        "https://evil.example#s3.amazonaws.com",
        "https://s3.amazonaws.com:9000",
        "https://s3.amazonaws.com/minio",
        "https://ec2-1-2-3-4.compute-1.amazonaws.com",
        "https://mine.us-east-1.elb.amazonaws.com",
        "https://mine.execute-api.us-east-1.amazonaws.com",
        "https://x.s3-object-lambda.us-east-1.amazonaws.com",
        "https://s3-object-lambda.us-east-1.amazonaws.com",
        "https://s3-outposts.us-east-1.amazonaws.com",
    ],
)
def test_only_hosts_of_s3_itself_are_aws(endpoint: str) -> None:
    assert origin_name(endpoint, "us-east-1") == endpoint.rstrip("/")


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("https://s3.amazonaws.com", "aws"),
        ("https://s3-us-west-2.amazonaws.com", "aws"),
        ("https://s3.dualstack.eu-west-1.amazonaws.com/", "aws"),
        ("https://s3-accelerate.amazonaws.com", "aws"),
        ("https://bucket.vpce-1a2b-3c.s3.us-east-1.vpce.amazonaws.com", "aws"),
        ("https://S3.cn-north-1.amazonaws.com.cn", "aws-cn"),
        ("https://s3.us-gov-west-1.amazonaws.com", "aws-us-gov"),
        ("https://s3.us-iso-east-1.c2s.ic.gov", "aws-us-iso"),
        ("https://s3.eusc-de-east-1.amazonaws.eu", "aws-eusc"),
    ],
)
def test_s3_by_any_of_its_names_is_aws(endpoint: str, name: str) -> None:
    assert origin_name(endpoint, None) == name
