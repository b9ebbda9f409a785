"""``python -m examples.check_demo``: sends drawn checks through the scanner, and writes a page."""

import sys
from pathlib import Path

try:
    import click
except ModuleNotFoundError:
    sys.exit("The demo needs click and more: pip install -e . --group demo.")

from . import run

#: Fewest checks that every act of the demo has some of.
FEWEST = 5


@click.command()
@click.option(
    "--checks", type=click.IntRange(FEWEST), default=60, show_default=True, help="How many to draw."
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default="check-scanner.html",
    show_default=True,
    help="Where the page goes.",
)
@click.pass_context
def main(context: click.Context, checks: int, output: Path) -> None:
    """Send drawn checks through the check scanner, on a local S3, and write a page about it.

    The exit status is 1 if a promise was not kept, else 0.
    """
    context.exit(run(checks, output.absolute()))


if __name__ == "__main__":
    main(prog_name=f"python -m {__package__}")
