"""The comparison with other libraries: what it needs none of them for."""

from __future__ import annotations

import doctest
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from benchmarks import plain_server, report
from benchmarks.latency import delayed
from benchmarks.peers import compare, environments, run
from benchmarks.peers.answers import Answer, at_once, methods
from benchmarks.peers.conversation import Conversation, PeerFailed, PeerLacks
from benchmarks.peers.pages import page
from benchmarks.peers.roster import OURS, PEERS, PLAIN, STARTING, TREE, UPLOADING, Peer, taking_part
from benchmarks.peers.works import Work
from benchmarks.server import BUCKET, Server, serving

_TIME_LIMIT = 60.0
_SMALL = Work("cold", "10 KiB, cold", "cold", "near", 10_240, 3, 2)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The server that is used where there is no nginx."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with serving(str(tmp_path)) as server:
        yield server


@pytest.fixture
def talk(server: Server, tmp_path: Path) -> Iterator[Conversation]:
    """A process that runs the adapter of tmpcache."""
    with Conversation(sys.executable, "with_tmpcache", {}, TREE, str(tmp_path / "log")) as talk:
        yield talk


def _opened(talk: Conversation, server: Server, directory: Path) -> dict[str, Any]:
    directory.mkdir()
    key = server.put("first", b"1" * 10)
    return talk.ask(_TIME_LIMIT, do="open", directory=str(directory), bucket=BUCKET, key=key)


def test_an_adapter_fetches_asks_and_hits(
    talk: Conversation, server: Server, tmp_path: Path
) -> None:
    assert set(talk.versions()) == {"tmpcache"}
    assert Path(_opened(talk, server, tmp_path / "place")["path"]).read_bytes() == b"1" * 10
    keys = [server.put(f"small/{number}", os.urandom(1000)) for number in range(3)]
    asked = {"bucket": BUCKET, "keys": keys, "threads": 2}
    for verb in ("cold", "asking", "fresh"):
        answer = talk.ask(_TIME_LIMIT, do=verb, **asked)
        assert len(answer["seconds"]) == 3
        for key, path in zip(keys, answer["paths"], strict=True):
            assert Path(path).read_bytes() == Path(server.objects, BUCKET, key).read_bytes()
    assert talk.ask(_TIME_LIMIT, do="close") == {}


def test_what_an_adapter_cannot_do_is_told_with_its_reason(
    talk: Conversation, server: Server, tmp_path: Path
) -> None:
    talk.versions()
    _opened(talk, server, tmp_path / "place")
    with pytest.raises(PeerFailed, match="ObjectNotFoundError: .*missing"):
        talk.ask(_TIME_LIMIT, do="cold", bucket=BUCKET, keys=["missing"], threads=1)
    answer = talk.ask(_TIME_LIMIT, do="cold", bucket=BUCKET, keys=["first"], threads=1)
    assert len(answer["paths"]) == 1, "an error must not end the conversation"


def test_an_origin_that_this_version_does_not_have_is_no_failure(
    server: Server, tmp_path: Path
) -> None:
    log, environment = str(tmp_path / "log"), {"TMPCACHE_ORIGIN": "pigeons"}
    with Conversation(sys.executable, "with_tmpcache", environment, TREE, log) as talk:
        talk.versions()
        with pytest.raises(PeerLacks, match="not in this version"):
            _opened(talk, server, tmp_path / "place")


def test_a_peer_that_does_not_even_start_says_why(tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    with (
        Conversation(sys.executable, "with_nothing", {}, TREE, log) as talk,
        pytest.raises(PeerFailed, match="its process ended: .*No module named.*with_nothing"),
    ):
        talk.versions()


def test_a_peer_that_does_not_answer_is_given_up(talk: Conversation) -> None:
    talk.versions()
    with pytest.raises(PeerFailed, match="no answer within 0"):
        talk.ask(0, do="close")


def test_a_peer_that_cannot_be_installed_says_why(tmp_path: Path) -> None:
    peer = Peer("absent", "with_absent", (str(tmp_path / "absent.whl"),), "")
    with pytest.raises(PeerFailed, match=r"cannot be installed: .*absent\.whl"):
        environments.interpreter(peer, str(tmp_path))


def test_all_take_turns_and_are_recorded(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _invite(monkeypatch, "one", "two")
    record = run.measured(_SMALL, server, str(tmp_path), str(tmp_path))
    assert [len(record.rows[name].seconds) for name in ("one", "two")] == [2, 2]
    assert record.ratio("one", "two") is not None


def test_what_is_large_does_not_pile_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _invite(monkeypatch, "one", "two")
    large = replace(_SMALL, size=2 << 20)
    run.measured(large, server, str(tmp_path), str(tmp_path))
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".log"]
    assert [path.name for path in left if path.stat().st_size >= 2 << 20] == []


def test_fast_and_wrong_is_a_failure(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Liar(Conversation):
        def ask(self, timeout: float, **asked: Any) -> dict[str, Any]:
            answer = super().ask(timeout, **asked)
            if asked["do"] == "cold":
                os.chmod(answer["paths"][-1], 0o600)
                os.truncate(answer["paths"][-1], 10_239)
            return answer

    _invite(monkeypatch, "liar")
    monkeypatch.setattr(run, "Conversation", Liar)
    row = run.measured(_SMALL, server, str(tmp_path), str(tmp_path)).rows["liar"]
    assert row.failed.startswith("wrong bytes")
    assert row.spread is None


def test_without_nginx_no_connection_is_capped(server: Server, tmp_path: Path) -> None:
    work = Work("large-capped", "large", "cold", "capped", 1, 1, 1)
    record = run.measured(work, server, str(tmp_path), str(tmp_path))
    assert "needs nginx" in record.missing
    assert "needs nginx" in page({"large-capped": record})


_START = Work("start", "first object", "start", "near", 10_240, 1, 2)
_PUT = Work("put", "put 100 kB", "put", "sink", 100_000, 1, 2)


def test_every_start_has_the_object_in_hand(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers = [peer for peer in _here(STARTING) if not peer.name.startswith(("cached", "fsspec"))]
    _let_in(monkeypatch, *peers)
    record = run.measured(_START, server, str(tmp_path), str(tmp_path))
    ours = {OURS, f"{OURS}, boto3", f"{OURS}, obstore"}
    others = {PLAIN, "boto3 get_object", "boto3 download_file", "obstore"}
    assert record.rows.keys() == ours | others
    assert {row.failed for row in record.rows.values()} == {""}
    assert {len(row.seconds) for row in record.rows.values()} == {2}
    left = [path.name for path in Path(server.objects).rglob("*") if path.is_file()]
    assert left == []


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("body = bytes(10_240)", "wrong bytes of peers/start/"),
        ("body = b''", "wrong bytes of peers/start/"),
        ("raise SystemExit('out of luck')", "its process ended: out of luck"),
    ],
)
def test_a_start_without_the_object_is_a_failure(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, reason: str
) -> None:
    _let_in(monkeypatch, Peer("liar", "", None, "", program=program))
    row = run.measured(_START, server, str(tmp_path), str(tmp_path)).rows["liar"]
    assert row.failed.startswith(reason)
    assert row.spread is None


def test_uploads_are_measured_against_a_server_that_counts_their_bytes(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _let_in(monkeypatch, *(peer for peer in _here(UPLOADING) if peer.adapter != "with_fsspec"))
    record = run.measured(_PUT, server, str(tmp_path), str(tmp_path))
    assert [row.failed for row in record.rows.values()] == [""] * 5
    assert {len(row.seconds) for row in record.rows.values()} == {2}


def test_an_upload_of_which_bytes_are_missing_is_a_failure(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Liar(Conversation):
        def ask(self, timeout: float, **asked: Any) -> dict[str, Any]:
            if asked["do"] != "put":
                return super().ask(timeout, **asked)
            paths = [os.path.join(asked["source"], key) for key in asked["keys"]]
            return {"seconds": [1e-9], "paths": paths, "peak": None}

    _invite(monkeypatch, "liar")
    monkeypatch.setattr(run, "Conversation", Liar)
    row = run.measured(_PUT, server, str(tmp_path), str(tmp_path)).rows["liar"]
    assert row.failed == "0 of 100,000 bytes were uploaded"


def test_quick_shows_starts_and_uploads_and_writes_nothing(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(compare, "DOCS", str(tmp_path / "docs"))
    monkeypatch.setattr(run, "taking_part", lambda verb: _here(taking_part(verb))[:1])
    works = ["start", "put"]
    assert list(compare.measure(str(tmp_path), server, works, str(tmp_path), quick=True)) == []
    lines = capsys.readouterr().out.splitlines()
    assert "|  | process start to first object in hand | the whole program |" in lines
    assert "|  | put 16 MiB | how |" in lines
    assert sum(line.startswith("| tmpcache | **") for line in lines) == 2
    assert not (tmp_path / "docs").exists()


def test_where_nginx_is_it_serves_and_notes_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip("needs nginx")
    _invite(monkeypatch, "one")
    work = Work("large-capped", "large", "cold", "capped", 100_000, 1, 1)
    with serving(str(tmp_path)) as server:
        record = run.measured(work, server, str(tmp_path), str(tmp_path))
    assert record.machine["S3"].startswith("nginx/")
    assert (record.missing, record.rows["one"].failed) == ("", "")
    assert record.rows["one"].requests == {"GET": 1}


def _here(peers: tuple[Peer, ...]) -> tuple[Peer, ...]:
    """Return these peers in this environment, rather than in environments of their own."""
    return tuple(replace(peer, requirements=None) for peer in peers)


def _let_in(monkeypatch: pytest.MonkeyPatch, *peers: Peer) -> None:
    """Have only these take part."""
    monkeypatch.setattr(run, "taking_part", lambda verb: peers)


def _invite(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Have nobody but tmpcache take part, under these names, in this environment."""
    _let_in(monkeypatch, *(Peer(name, "with_tmpcache", None, "") for name in names))


def test_every_peer_has_an_adapter() -> None:
    for peer in (*PEERS, *STARTING, *UPLOADING):
        assert os.path.exists(f"{TREE}/benchmarks/peers/adapters/{peer.adapter}.py"), peer.name


def test_connections_are_counted_by_bodies_that_overlap() -> None:
    body = 1_000_000
    one_after_the_other = [Answer("GET", float(n), n + 1.0005, body) for n in range(3)]
    assert at_once(one_after_the_other) == 1
    beside = [Answer("GET", 0.5, 3.5, body), Answer("GET", 0.6, 3.6, body)]
    assert at_once(one_after_the_other + beside) == 3
    small = [Answer("HEAD", 0.5, 3.5, 0)] * 5
    assert at_once(one_after_the_other + small) == 1
    assert methods(small + beside) == {"HEAD": 5, "GET": 2}


@pytest.mark.parametrize("away", [False, True], ids=["near", "far"])
def test_the_server_without_nginx_knows_what_peers_ask(server: Server, away: bool) -> None:
    server.put("ten", b"0123456789")
    with delayed(server.endpoint, 0.01) as far:
        # One connection, so that bytes too many would be taken for the next answer.
        connection = HTTPConnection((far if away else server.endpoint).rpartition("/")[2])
        etag = _asked(connection, "HEAD")[1]["ETag"]
        assert _asked(connection, "GET")[::2] == (200, b"0123456789")
        assert _asked(connection, "GET", {"If-None-Match": etag})[::2] == (304, b"")
        status, headers, body = _asked(connection, "GET", {"Range": "bytes=2-4"})
        assert (status, headers["Content-Range"], body) == (206, "bytes 2-4/10", b"234")
        assert _asked(connection, "GET", {"Range": "bytes=10-"})[0] == 416
        connection.close()


def _asked(
    connection: HTTPConnection, method: str, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection.request(method, f"/{BUCKET}/ten", headers=headers or {})
    with connection.getresponse() as answer:
        return answer.status, dict(answer.getheaders()), answer.read()


@pytest.mark.parametrize("module", [plain_server, report])
def test_the_examples_in_the_benchmarks_run(module: Any) -> None:
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed
