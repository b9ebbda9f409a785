"""Credentials of roles: botocore finds and refreshes them, and no boto3 client is needed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.door import Caches, Door, outcome
from support.handmade import Answer
from support.listener import asks_boto3
from support.origins import ORIGINS
from support.processes import spawn
from support.roles import Roles, ask

from tmpcache import Outcome
from tmpcache.errors import AccessDeniedError
from tmpcache.origin.direct.origin import DirectOrigin
from tmpcache.origin.s3.origin import S3Origin

#: Seconds of life in which botocore tries to refresh, and in which it must.
ADVISORY, MANDATORY = 12 * 60, 5 * 60


@pytest.fixture(params=[S3Origin, DirectOrigin])
def either(request: pytest.FixtureRequest) -> Iterator[S3Origin]:
    """Origins that must do the same: through boto3, and without it."""
    origin: S3Origin = request.param()
    yield origin
    assert asks_boto3(origin) is (request.param is S3Origin)
    origin.close()


# ---- where they come from ------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["container", "imds"])
def test_the_role_of_a_machine_asks_without_boto3(
    source: str, use: Any, roles: Roles, door: Door, direct: DirectOrigin
) -> None:
    use(source)
    scopes = {ask(direct) for _ in range(3)}
    assert not asks_boto3(direct)
    assert door.askers() == [source] * 3
    assert roles.asked() == [source]
    assert scopes == {direct.scope, ask(S3Origin())}


def test_a_web_identity_asks_without_boto3(
    use: Any,
    roles: Roles,
    door: Door,
    direct: DirectOrigin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As EKS gives it to a pod; STS is asked through a client of botocore's."""
    use()
    token = tmp_path / "token"
    token.write_text("of-the-pod")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod")
    monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", "regional")
    assert ask(direct) == direct.scope
    assert not asks_boto3(direct)
    assert roles.asked() == door.askers() == ["AssumeRoleWithWebIdentity"]


def test_a_container_whose_token_is_in_a_file_reads_it_for_each_refresh(
    use: Any, roles: Roles, direct: DirectOrigin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EKS replaces the file of a pod identity."""
    use("container")
    token = tmp_path / "token"
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
    roles.lifetime = MANDATORY
    for text in ("first", "second"):
        token.write_text(text)
        ask(direct)
    heard = [asked.headers["authorization"] for asked in roles.server.log]
    assert heard == ["first", "first", "second"], "the first request refreshes at once"


def test_a_relative_address_is_that_of_ecs(
    use: Any, roles: Roles, direct: DirectOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    use("container")
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/container")
    address = roles.server.endpoint.removeprefix("http://")
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.IP_ADDRESS", address)
    assert ask(direct)
    assert roles.asked() == ["container"]


def test_a_start_with_a_role_makes_no_client_and_waits_for_no_other_source(
    use: Any, roles: Roles, door: Door
) -> None:
    """What AWS's container services name is asked, not the metadata service of EC2."""
    use("container", "imds")
    code = """
        from tmpcache.origin.direct.origin import DirectOrigin
        origin = DirectOrigin()
        reply = origin.get("models", "a")
        say(["boto3" in sys.modules, origin._signer is None])
    """
    with spawn(code) as child:
        assert child.hear() == [False, True]
    assert [asked.path for asked in roles.server.log] == ["/container"]


def test_where_there_are_none_the_sources_are_asked_once(
    use: Any, roles: Roles, direct: DirectOrigin
) -> None:
    """The metadata service may take its time-out to be silent: neither boto3 nor a second request
    waits for it again."""
    use("imds")
    roles.trouble = lambda asked: Answer(404)
    for _ in range(2):
        with pytest.raises(AccessDeniedError, match=r"s3://models/a.*no AWS credentials"):
            direct.get("models", "a")
    asked = len(roles.server.log)
    with pytest.raises(AccessDeniedError, match="no AWS credentials"):
        [*direct.list("models", "a")]
    assert len(roles.server.log) == asked == 2
    assert direct.scope is None


# ---- how long they are used ----------------------------------------------------------------------


def test_credentials_are_refreshed_when_botocore_would(
    use: Any, roles: Roles, door: Door, either: S3Origin
) -> None:
    use("container")
    roles.lifetime, roles.version = ADVISORY, "1"
    first = ask(either)  # refreshes at once: they are that near to their end
    roles.lifetime, roles.version = 86400, "2"
    assert either.scope is None, "the next request refreshes them, to nobody knows which"
    second = ask(either)
    assert either.scope == second == ask(either)
    assert door.askers() == ["container1", "container2", "container2"]
    assert first not in (None, second)
    assert roles.asked() == ["container"] * 3


@pytest.mark.parametrize(("lifetime", "still_works"), [(ADVISORY, True), (MANDATORY, False)])
def test_a_refresh_that_fails_is_an_error_only_if_it_must_succeed(
    use: Any, roles: Roles, door: Door, either: S3Origin, lifetime: float, still_works: bool
) -> None:
    use("container")
    roles.lifetime = lifetime
    ask(either)
    roles.trouble = lambda asked: Answer(500)
    if still_works:
        ask(either)
    else:
        with pytest.raises(AccessDeniedError, match="no AWS credentials"):
            ask(either)
    roles.trouble = None
    ask(either)
    assert door.askers() == ["container"] * (3 if still_works else 2)


def test_a_hit_is_for_the_role_that_was_told(
    use: Any, roles: Roles, door: Door, caches: Caches
) -> None:
    """As after a thaw, when the credentials of before are near to their end."""
    use("container")
    roles.lifetime = ADVISORY
    cache = caches()
    assert outcome(cache) is Outcome.FETCHED
    roles.lifetime, roles.version = 86400, "2"
    assert [outcome(cache) for _ in range(3)] == [Outcome.REVALIDATED, Outcome.HIT, Outcome.HIT]
    door.denied.add("container2")
    with pytest.raises(AccessDeniedError):
        outcome(cache, max_age=0)
    assert not asks_boto3(cache._origin)  # type: ignore[arg-type]


def test_64_threads_refresh_once(use: Any, roles: Roles, direct: DirectOrigin) -> None:
    use("container")
    roles.lifetime = MANDATORY
    assert direct._route("models") != (None, None)
    roles.lifetime, roles.version = 86400, "2"
    with ThreadPoolExecutor(64) as threads:
        scopes = {*threads.map(lambda _: ask(direct), range(200))}
    assert scopes == {direct.scope}
    assert roles.asked() == ["container"] * 2


# ---- one identity --------------------------------------------------------------------------------


@pytest.mark.usefixtures("origin")
@pytest.mark.parametrize("origin", ORIGINS, indirect=True)
def test_listings_through_boto3_share_the_credentials(
    use: Any, roles: Roles, door: Door, caches: Caches
) -> None:
    """Else they would be requested twice, and could be another role's."""
    use("container")
    cache = caches()
    assert outcome(cache) is Outcome.FETCHED
    roles.version = "2"
    assert [*cache.fetch_prefix("models", "")] == ["a"]
    assert outcome(cache) is Outcome.HIT
    assert set(door.askers()) == {"container"}
    assert roles.asked() == ["container"]


def test_an_origin_that_was_closed_asks_who_it_is_anew(
    use: Any, roles: Roles, door: Door, direct: DirectOrigin
) -> None:
    use("container")
    first = ask(direct)
    direct.close()
    roles.version = "2"
    assert direct.scope is None
    assert ask(direct) != first
    assert door.askers() == ["container", "container2"]


def test_a_forked_child_asks_who_it_is_anew(use: Any, roles: Roles, door: Door) -> None:
    use("container")
    code = """
        from tmpcache.origin.direct.origin import DirectOrigin
        origin = DirectOrigin()
        origin.get("models", "a").body.close()
        if not os.fork():
            reply = origin.get("models", "a")
            say([reply.scope == origin.scope, origin._signer is None])
            os._exit(0)
        os.wait()
    """
    with spawn(code) as child:
        assert child.hear() == [True, True]
    assert roles.asked() == ["container"] * 2
