"""``tmpcache exec``: files stay while the command runs; signals and exit codes pass through."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import COMMAND, Terminal, run

import tmpcache
from tmpcache.testing import Bucket

URL = "s3://models/micr/e13b.npz"
SHOW = [sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))"]
#: Says which signals it gets, until SIGTERM.
LISTEN = """
import signal, sys
numbers = [signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM]
assert not signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
print("ready", flush=True)
while (number := signal.sigwait(numbers)) != signal.SIGTERM:
    print(number.name, flush=True)
print("SIGTERM", flush=True)
sys.exit(7)
"""


def arguments(*program: str, urls: tuple[str, ...] = (URL,)) -> list[str]:
    """Return the arguments that the command got, names of files instead of paths."""
    done = run("exec", *urls, "--", *SHOW, *program)
    assert done.code == 0, done.err
    found: list[str] = json.loads(done.out)
    return found


def test_places_are_filled_as_xargs_and_find_do_it(bucket: Bucket) -> None:
    bucket.put("b", b"b")
    one, two = run("fetch", URL, "s3://models/b").lines
    assert arguments("{}") == [one]
    assert arguments("--model={}", "-x", "{}:{}") == [f"--model={one}", "-x", f"{one}:{one}"]
    urls = (URL, "s3://models/b")
    assert arguments("a", "{}", "c", urls=urls) == ["a", one, two, "c"]
    assert arguments("{}", "-b={}", urls=urls) == [one, f"-b={two}"]
    assert arguments("{}", "--", "--to", "$HOME; *") == [one, "--", "--to", "$HOME; *"]


@pytest.mark.parametrize(
    "wrong", [[URL], [URL, "--"], [URL, "--", "cat"], [URL, URL, URL, "--", "cat", "{}", "{}"]]
)
def test_a_command_without_its_places_is_wrong_usage(bucket: Bucket, wrong: list[str]) -> None:
    assert run("exec", *wrong).code == 2
    assert bucket.server.requests == []


def test_streams_and_exit_codes_are_those_of_the_command() -> None:
    done = run("exec", URL, "--", "sh", "-c", "cat; echo wrong >&2; exit 42", "{}", input="in")
    assert done == (42, "in", "wrong\n")
    assert run("exec", URL, "--", "sh", "-c", "kill -9 $$", "{}").code == 128 + 9
    assert run("exec", URL, "--", "no-such-command", "{}").code == 127
    done = run("exec", URL, "--", "/etc/passwd", "{}")
    assert (done.code, len(done.err.splitlines())) == (126, 1)
    assert run("exec", "s3://models/none", "--", "cat", "{}").code == 3


def test_a_pipe_that_breaks_ends_the_command_as_it_would_alone() -> None:
    count = ["sh", "-c", "yes {}; exit 3"]
    with subprocess.Popen(
        [*COMMAND, "exec", URL, "--", *count], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.read(10)
        command.stdout.close()
        assert command.wait(60) == 3
        assert command.stderr.read() == b""  # yes died of SIGPIPE, and did not complain


def test_the_file_is_not_evicted_while_the_command_runs(root: Path, bucket: Bucket) -> None:
    bucket.put("big", bytes(600_000))
    bucket.put("other", b"o" * 600_000)
    code = "import sys; print(sys.argv[1], flush=True); sys.stdin.read()"
    program = [sys.executable, "-c", code, "{}"]
    with subprocess.Popen(
        [*COMMAND, "--quota", "1 MiB", "exec", "s3://models/big", "--", *program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdin is not None
        assert command.stdout is not None
        path = Path(command.stdout.readline().strip())
        with tmpcache.Cache(root, quota="1 MiB") as cache:
            with pytest.raises(tmpcache.errors.QuotaExceededError):
                cache.fetch("models", "other")
            assert path.exists()
            command.stdin.close()
            assert command.wait(60) == 0
            cache.fetch("models", "other")
        assert not path.exists()


def test_signals_are_passed_on_once(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "exec", URL, "--", sys.executable, "-c", LISTEN, "{}"],
        stdout=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "ready\n"
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM):
            os.kill(command.pid, number)
            assert command.stdout.readline().strip() == number.name
        assert command.wait(60) == 7
        assert command.stdout.read() == ""


def test_ctrl_c_in_a_terminal_reaches_the_command_once() -> None:
    terminal = Terminal("exec", URL, "--", sys.executable, "-c", LISTEN, "{}")
    terminal.read_until("ready")
    for _ in range(5):
        seen = len(terminal.shown)
        terminal.type("\x03")
        terminal.read_until("SIGINT", seen)
    os.kill(terminal.process.pid, signal.SIGUSR1)
    terminal.read_until("SIGUSR1")
    os.kill(terminal.process.pid, signal.SIGTERM)
    code, shown = terminal.finish()
    assert (code, shown.count("SIGINT")) == (7, 5)
