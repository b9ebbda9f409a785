"""The command line, ``tmpcache`` or ``python -m tmpcache``: the extra ``cli``.

Paths and data go to stdout, all else to stderr. On a terminal a table is drawn, with sizes and ages
for people; into a pipe go tab-separated columns of bytes and seconds, without colour.
"""

from __future__ import annotations

import sys

_INSTALL = "tmpcache: the command line needs click and rich. Install them: pip install '{}'\n"


def main() -> None:
    """Run the command line and end the process with its exit code (:mod:`.errors`)."""
    try:
        import click  # noqa: F401
        import rich  # noqa: F401
    except ImportError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.stderr.write(_INSTALL.format("tmpcache[cli]"))
        sys.exit(2)
    from .app import tmpcache

    tmpcache.main(prog_name="tmpcache")
