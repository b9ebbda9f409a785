"""The command ``exec``: runs a program on cached files, which are leased while it runs.

The program is a child process, and not what this process becomes. A lease lives as long as its
session's lock, which is this process's. Its program could inherit the lock, but would then pass it
on to every process that it leaves behind, and nobody would record the uses.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import click

from .errors import Failure
from .fetching import fetch_urls, freshness_options
from .state import State, pass_state

#: Passed on to the program.
_SIGNALS = {
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
}
#: Python ignores these, and programs expect that they are not ignored.
_DEFAULT = {signal.SIGPIPE, signal.SIGXFSZ}
_NOT_FOUND, _NOT_RUN, _BY_SIGNAL = 127, 126, 128


class _Command(click.Command):
    """A command that keeps what follows ``--`` as it is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        ctx.meta["program"] = args[end + 1 :]
        return super().parse_args(ctx, args[:end])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "-- COMMAND [ARGUMENT | {}]..."]


@click.command(
    "exec",
    cls=_Command,
    epilog="""\b
Where {} is, paths are put, as find -exec and xargs do it:
  one URL       each {} becomes its path, also within an argument (--model={})
  several URLs  one {} on its own becomes all paths;
                as many {} as URLs become one path each, in their order
\b
Examples:
  tmpcache exec s3://models/e13b.npz -- scan --model={} check.png
  tmpcache exec s3://in/a.csv s3://in/b.csv -- sort {}
  tmpcache exec s3://in/a.csv s3://in/b.csv -- diff {} {}""",
)
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@freshness_options
@click.pass_context
@pass_state
def exec_(state: State, context: click.Context, /, urls: tuple[str, ...], **options: Any) -> None:
    """Run a command on objects. They are not evicted while it runs.

    No shell is involved. Signals are passed on, and the exit code is the command's, or 128 and the
    number of the signal that ended it.
    """
    program = context.meta["program"]
    check_places(program, len(urls))
    paths = fetch_urls(state, urls, **options)
    code = run(fill_in(program, [str(path) for path in paths]))
    for path in paths:
        path.release()
    context.exit(code)


def check_places(program: Sequence[str], count: int) -> None:
    """Raise ``click.UsageError`` unless `count` paths have their places in a command."""
    if not program:
        raise click.UsageError("no command: give it after --, with {} where the paths go")
    places = sum(argument.count("{}") for argument in program)
    if not places:
        raise click.UsageError("the command has no {} where the paths go")
    if count > 1 and places != count and (places != 1 or "{}" not in program):
        raise click.UsageError(
            f"{count} URLs and {places} {{}}: give one {{}} on its own for all paths, or one for "
            "each"
        )


def fill_in(program: Sequence[str], paths: Sequence[str]) -> list[str]:
    """Return a command with paths in their places.

    >>> fill_in(["scan", "--model={}"], ["/a"]), fill_in(["sort", "{}"], ["/a", "/b"])
    (['scan', '--model=/a'], ['sort', '/a', '/b'])
    >>> fill_in(["diff", "{}", "-b={}"], ["/a", "/b"])
    ['diff', '/a', '-b=/b']
    """
    if len(paths) == 1:
        return [argument.replace("{}", paths[0]) for argument in program]
    if sum(argument.count("{}") for argument in program) == 1:
        at = list(program).index("{}")
        return [*program[:at], *paths, *program[at + 1 :]]
    left = iter(paths)
    return ["".join(_filled(argument.split("{}"), left)) for argument in program]


def _filled(pieces: list[str], paths: Any) -> list[str]:
    return [pieces[0], *(part for piece in pieces[1:] for part in (next(paths), piece))]


def run(argv: list[str]) -> int:
    """Run a command, pass signals on to it, and return its exit code as a shell would.

    Signals are blocked and waited for, so none is lost between two steps.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS | {signal.SIGCHLD})
    try:
        sys.stdout.flush()
        pid = os.posix_spawnp(argv[0], argv, os.environ, setsigmask=before, setsigdef=_DEFAULT)
        while True:
            number = _next_signal()
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else _BY_SIGNAL - code
            if number != signal.SIGCHLD:
                os.kill(pid, number)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Failure(f"{argv[0]}: {error.strerror}", _NOT_FOUND) from error
    except OSError as error:
        raise Failure(f"{argv[0]}: {error.strerror}", _NOT_RUN) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _next_signal() -> int:
    """Wait for a signal; return its number, SIGCHLD for one that the program got as well.

    What a terminal sends goes to all processes in the foreground.
    """
    waited = _SIGNALS | {signal.SIGCHLD}
    if sys.platform == "darwin":  # it does not say who sent the signal
        number = signal.sigwait(waited)
        is_by_terminal = number in (signal.SIGINT, signal.SIGQUIT) and sys.stdin.isatty()
        return signal.SIGCHLD if is_by_terminal else number
    info = signal.sigwaitinfo(waited)
    return info.si_signo if info.si_code <= 0 else signal.SIGCHLD
