"""The command ``tmpcache``, which all others are in."""

from __future__ import annotations

from typing import Any

import click

from .. import __version__
from .completion import completion
from .doctor import doctor
from .errors import HELP, told
from .executing import exec_
from .fetching import fetch, prefetch, warm
from .fleet import put_listing, put_pack
from .looking import dir_, du, ls, manifest, stats
from .removing import prune, rm, verify
from .state import State
from .watch import watch


class _Group(click.Group):
    """A group whose commands end in one line if they fail, listed in the order given."""

    def invoke(self, ctx: click.Context) -> Any:
        with told():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"""\b
Examples:
  tmpcache fetch s3://models/e13b.npz            # prints the path of the copy
  tmpcache exec s3://models/e13b.npz -- scan --model {{}} check.png
  tmpcache ls --sort size --filter 'used>30d'
  tmpcache prefetch s3://models/micr/
  tmpcache doctor s3://models                    # what is wrong, and what to do
\b
Settings also come from the environment: TMPCACHE_ROOT, TMPCACHE_QUOTA, TMPCACHE_MAX_AGE,
TMPCACHE_ORIGIN, ...; credentials and endpoint as for boto3.

{HELP}""",
)
@click.option("--root", metavar="DIR", help="The cache directory.  [default: $TMPCACHE_ROOT]")
@click.option(
    "--quota",
    metavar="SIZE",
    help="Bytes that it may occupy: '400 MB', '80%'.  [default: $TMPCACHE_QUOTA, else the quota "
    "that programs use it with]",
)
@click.version_option(__version__, "-V", "--version", prog_name="tmpcache")
@click.pass_context
def tmpcache(context: click.Context, root: str | None, quota: str | None) -> None:
    """Keep S3 objects as local files: fetch them, look at what is kept, and clean up.

    Paths and data go to stdout, all else to stderr. On a terminal sizes and ages are for people;
    into a pipe go tab-separated columns of bytes and seconds.
    """
    context.obj = State(root, quota)


_FETCHING = (fetch, exec_, prefetch, warm)
_WRITING = (put_listing, put_pack)
_LOOKING = (ls, du, stats, watch, dir_, manifest)
_REMOVING = (rm, prune, verify)
for command in (*_FETCHING, *_WRITING, *_LOOKING, *_REMOVING, doctor, completion):
    tmpcache.add_command(command)
