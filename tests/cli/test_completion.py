"""``tmpcache completion``, and the help that each command has."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from support.commands import run

COMMANDS = (
    "fetch exec prefetch warm put-listing put-pack ls du stats watch dir manifest rm prune verify "
    "doctor completion"
)


def test_the_help_has_all_commands_their_examples_and_the_exit_codes() -> None:
    done = run("--help")
    assert done.code == 0
    for name in COMMANDS.split():
        assert f"\n  {name}" in done.out
    assert "Exit codes:" in done.out
    for name in set(COMMANDS.split()) - {"du", "stats", "dir", "verify"}:
        assert "Examples:" in run(name, "--help").out


def test_a_wrong_command_or_option_is_wrong_usage() -> None:
    assert run("fetsch").code == 2
    assert run("ls", "--colour").code == 2
    assert run("--version").out.startswith("tmpcache, version ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(shell: str) -> None:
    done = run("completion", shell)
    assert done.code == 0
    assert "_TMPCACHE_COMPLETE" in done.out
    assert run("completion", SHELL=f"/usr/bin/{shell}").out == done.out


def test_a_shell_that_is_not_known_is_wrong_usage() -> None:
    assert run("completion", SHELL="/bin/dash").code == 2


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_and_options(installed: None) -> None:
    """As bash does it at the Tab key: the function that the script registers fills COMPREPLY."""
    code = """
        eval "$(tmpcache completion bash)"
        complete -p tmpcache
        COMP_WORDS=(tmpcache ver) COMP_CWORD=1
        _tmpcache_completion tmpcache ver tmpcache
        COMP_WORDS=(tmpcache ls --so) COMP_CWORD=2
        _tmpcache_completion tmpcache --so ls
        echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True)
    registered, completed = done.stdout.splitlines()
    assert registered.endswith("-F _tmpcache_completion tmpcache")
    assert completed == "verify --sort"
