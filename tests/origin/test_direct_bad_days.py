"""Bad days of the direct origin: expired credentials, other regions, cooperative threads."""

from __future__ import annotations

import threading

import pytest
from support.content import content
from support.handmade import Answer, Asked, error, handmade, object_answer
from support.listener import asks_boto3, body_of
from support.origins import through_both_readers
from support.processes import spawn

from tmpcache import Cache, Outcome
from tmpcache.errors import AccessDeniedError
from tmpcache.origin.direct.origin import DirectOrigin

BODY = content("body", 100_000)
WRONG_REGION = b"""<Error><Code>AuthorizationHeaderMalformed</Code><Message>expecting 'eu-west-1'
</Message><Region>eu-west-1</Region></Error>"""


def test_a_bucket_in_another_region_is_asked_there(
    direct: DirectOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 says which region it is; boto3 understands it, and knows it for the next request."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")  # botocore counts going there

    def answer(asked: Asked) -> Answer:
        if "/eu-west-1/s3/" in asked.headers["authorization"]:
            return object_answer(asked, BODY)
        return Answer(400, WRONG_REGION, {"x-amz-bucket-region": "eu-west-1"})

    with handmade(answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        assert body_of(direct.get("models", "a")) == BODY
        assert len(server.log) == 3, "without boto3, through it, and there"
        assert body_of(direct.get("models", "a")) == BODY
        assert len(server.log) == 4
        assert asks_boto3(direct)
        direct.close()


@pytest.mark.usefixtures("origin")
@through_both_readers[1]
def test_credentials_that_expire_in_mid_run_are_told_until_others_are_taken(
    root: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session token in the environment is replaced; who has begun with the old one keeps it."""

    def answer(asked: Asked) -> Answer:
        if asked.headers["x-amz-security-token"] in expired:
            return error(400, "ExpiredToken")
        return object_answer(asked, BODY)

    expired: set[str] = set()
    with handmade(answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        monkeypatch.setenv("AWS_SESSION_TOKEN", "first")
        cache = Cache(str(root), quota="4 MiB", max_age=3600, stale_if_error=3600)
        assert cache.fetch("models", "a").outcome is Outcome.FETCHED
        expired.add("first")
        monkeypatch.setenv("AWS_SESSION_TOKEN", "second")
        for _ in range(2):
            with pytest.raises(AccessDeniedError, match="the credentials have expired"):
                cache.fetch("models", "a", max_age=0)
        cache.close()
        with Cache(str(root), quota="4 MiB", max_age=3600) as cache:
            outcomes = [cache.fetch("models", "a").outcome for _ in range(2)]
        assert outcomes == [Outcome.REVALIDATED, Outcome.HIT]
        tokens = [asked.headers["x-amz-security-token"] for asked in server.log]
    assert tokens == ["first"] * 3 + ["second"]


PATCHED_FIRST = """
    from gevent import monkey; monkey.patch_all()
    from tmpcache.origin.direct.origin import DirectOrigin
"""
PATCHED_LATER = """
    from tmpcache.origin.direct.origin import DirectOrigin
    from tmpcache.origin.direct import client, connections
    DirectOrigin().get("models", "b").body.close()
    from gevent import monkey; monkey.patch_all()
"""


@pytest.mark.parametrize("imports", [PATCHED_FIRST, PATCHED_LATER], ids=["first", "later"])
def test_a_greenlet_that_waits_for_s3_lets_others_run(
    imports: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request is answered only when the second one has arrived."""
    pytest.importorskip("gevent")
    has_come = threading.Event()

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("/second"):
            has_come.set()
        elif asked.path.endswith("/first") and not has_come.wait(15):
            return error(404, "NoSuchKey")
        return object_answer(asked, BODY)

    code = f"""{imports}
    import gevent
    from tmpcache.common.deadline import Deadline
    origin = DirectOrigin()
    def ask(key):
        reply = origin.get("models", key, deadline=Deadline(30))
        buffer, size = memoryview(bytearray(30_000)), 0
        while data := reply.body.read(buffer):
            size += len(data)
        return size
    jobs = [gevent.spawn(ask, key) for key in ("first", "second", "third", "fourth")]
    gevent.joinall(jobs)
    say([[job.value or repr(job.exception) for job in jobs], "botocore" in sys.modules])
    """
    with handmade(answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        with spawn(code) as child:
            assert child.hear() == [[len(BODY)] * 4, False]


def test_a_greenlet_keeps_to_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gevent")
    gone = threading.Event()

    def answer(asked: Asked) -> Answer:
        gone.wait(30)
        return error(404, "NoSuchKey")

    code = """
        from gevent import monkey; monkey.patch_all()
        import gevent, tmpcache
        from tmpcache.common.deadline import Deadline
        from tmpcache.origin.direct.origin import DirectOrigin
        origin = DirectOrigin()
        jobs = [gevent.spawn(origin.get, "models", f"{n}", deadline=Deadline(1)) for n in range(5)]
        gevent.joinall(jobs)
        say([type(job.exception).__name__ for job in jobs])
    """
    with handmade(answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        try:
            with spawn(code) as child:
                assert child.hear(20) == ["DeadlineExceededError"] * 5
        finally:
            gone.set()
