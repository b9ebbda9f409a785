"""A client made from the environment asks as whom the environment says now."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from support.door import Caches, Context, Door, outcome
from support.origins import ORIGINS
from support.processes import spawn

from tmpcache import Outcome
from tmpcache.errors import AccessDeniedError, OriginUnavailableError


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
