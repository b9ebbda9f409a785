"""Whoever has a hand on botocore gets to see the requests: mocks, recorders, tracers.

Each package is there for real, and in a process of its own: what it does to botocore stays.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest
from support.processes import spawn

from tmpcache.origin import hooked_botocore
from tmpcache.testing import Bucket

#: How a package takes hold of botocore, before or after botocore was imported, and lets go.
HOOKS = {
    "X-Ray": "import aws_xray_sdk.core as x; x.patch(['botocore'])",
    "X-Ray, everything": (
        "import aws_xray_sdk.core as x; x.xray_recorder.configure(context_missing='IGNORE_ERROR');"
        "x.patch_all()"
    ),
    "OpenTelemetry": (
        "from opentelemetry.instrumentation.botocore import BotocoreInstrumentor;"
        "BotocoreInstrumentor().instrument()"
    ),
    "Datadog": "import ddtrace; ddtrace.patch(botocore=True)",
    "Sentry": "import sentry_sdk; sentry_sdk.init()",
    "wrapt, waiting": (
        "import wrapt;"
        "wrap = lambda m: wrapt.wrap_function_wrapper("
        "    m, 'BaseClient._make_api_call', lambda wrapped, _, a, k: wrapped(*a, **k));"
        "wrapt.register_post_import_hook(wrap, 'botocore.client')"
    ),
    "a wrapped call": (
        "import botocore.client as c; before = c.BaseClient._make_api_call;"
        "c.BaseClient._make_api_call = lambda *a, **k: before(*a, **k)"
    ),
    "a wrapped session": (
        "import botocore.httpsession as h; from unittest import mock;"
        "before = h.URLLib3Session.send;"
        "mock.patch.object(h.URLLib3Session, 'send', lambda *a, **k: before(*a, **k)).start()"
    ),
    "a handler for every client": (
        "from botocore.handlers import BUILTIN_HANDLERS;"
        "BUILTIN_HANDLERS.append(('before-send', lambda **_: None))"
    ),
}


@pytest.mark.parametrize("origin", ["auto", "direct", "obstore"])
@pytest.mark.parametrize("name", HOOKS)
def test_whoever_has_a_hand_on_botocore_sees_the_requests(
    name: str, origin: str, bucket: Bucket, root: Path
) -> None:
    """From then on, also where requests went past botocore before."""
    bucket.put("a", b"a")
    code = """
        import warnings, tmpcache
        warnings.simplefilter("ignore")
        cache = tmpcache.Cache(root, origin=origin)
        if when == "before":
            exec(hook)
        cache.fetch("models", "a")
        if when == "after":
            exec(hook)
        cache.fetch("models", "a")
        say("done")
    """
    for when in ("before", "after"):
        bucket.server.forget()
        given = {"hook": HOOKS[name], "when": when, "origin": origin}
        with spawn(code, root=str(root / when), **given) as child:
            assert child.hear(60) == "done"
        agents = [get.headers["user-agent"].partition("/")[0] for get in bucket.gets("a")]
        assert agents[-1] == "Boto3", name
        if when == "before":
            assert agents == ["Boto3", "Boto3"]


def test_under_moto_nothing_reaches_a_network(root: Path) -> None:
    """Whether it was there before the first question or comes after it; and afterwards no trace."""
    code = """
        import boto3, tmpcache
        from moto import mock_aws
        del os.environ["AWS_ENDPOINT_URL_S3"]  # what moto mocks is AWS itself
        for origin in ("auto", "direct", "obstore"):
            cache = tmpcache.Cache(root + origin, origin=origin)
            with mock_aws():
                client = boto3.client("s3", region_name="us-east-1")
                client.create_bucket(Bucket="models")
                client.put_object(Bucket="models", Key="a", Body=b"mocked")
                first = cache.fetch("models", "a").read_text()
                say([first, cache.fetch("models", "a").outcome.name])
    """
    with spawn(code, root=str(root)) as child:
        assert [child.hear(60) for _ in range(3)] == [["mocked", "REVALIDATED"]] * 3


def test_a_recorder_records_and_plays_back(bucket: Bucket, root: Path, tmp_path: Path) -> None:
    bucket.put("a", b"recorded")
    code = """
        import tmpcache, vcr
        cache = tmpcache.Cache(root, origin="direct")
        with vcr.use_cassette(tape):
            text = cache.fetch("models", "a").read_text()
        say(text)
    """
    for turn in ("recorded", "played"):
        with spawn(code, root=str(root / turn), tape=str(tmp_path / "tape.yaml")) as child:
            assert child.hear(60) == "recorded"
        if turn == "recorded":
            assert bucket.gets("a")
            bucket.server.forget()
    assert bucket.gets("a") == []


def test_a_client_with_a_stub_is_asked_through_it(root: Path) -> None:
    code = """
        import boto3, tmpcache
        from botocore.stub import Stubber
        client = boto3.client("s3")
        with Stubber(client) as stub, tmpcache.Cache(root, client=client) as cache:
            stub.add_client_error("get_object", "NoSuchKey", http_status_code=404)
            try:
                cache.fetch("models", "a")
            except tmpcache.errors.ObjectNotFoundError:
                say("stubbed")
    """
    with spawn(code, root=str(root)) as child:
        assert child.hear(60) == "stubbed"


def test_a_trap_for_sockets_is_sprung_by_boto3(bucket: Bucket, root: Path) -> None:
    """As pytest-socket sets one: no test shall get past it by another way."""
    bucket.put("a", b"a")
    code = """
        import socket, tmpcache
        class Trap(socket.socket):
            def __new__(cls, *args, **options):
                raise RuntimeError("no network here")
        Trap.__module__ = "trap"
        socket.socket = Trap
        try:
            tmpcache.Cache(root).fetch("models", "a")
        except Exception as error:
            say(str(error))
    """
    with spawn(code, root=str(root)) as child:
        assert "no network here" in child.hear(60)
    assert bucket.gets("a") == []


def test_nobody_has_a_hand_on_botocore_as_it_is() -> None:
    import boto3
    import moto

    boto3.client("s3")
    assert moto
    hooked_botocore._State.found = []
    assert hooked_botocore.hook() == ""
    assert all(sys.modules.get(name) for name, _, _ in hooked_botocore._WATCHED)
    looked = {owner for name, owner, _ in hooked_botocore._WATCHED}
    assert len(hooked_botocore._State.looks) == 2 * len(hooked_botocore._WATCHED), looked


def test_modules_that_another_thread_is_importing_are_nobodys() -> None:
    """Threads that ask first met a socket module without a socket."""
    names = {"socket", "botocore.handlers", *(name for name, _, _ in hooked_botocore._WATCHED)}
    with mock.patch.dict(sys.modules, {name: ModuleType(name) for name in names}):
        hooked_botocore._State.modules = -1
        assert hooked_botocore.hook() == ""
    assert hooked_botocore._State.modules == -1
    assert hooked_botocore.hook() == ""
    assert hooked_botocore._State.modules == len(sys.modules)
