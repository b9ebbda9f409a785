"""``python -m examples.check_scanner COMMAND``: the scanner at a shell.

Each command imports only what it needs: reading files from disk takes no AWS.
"""

import sys
from pathlib import Path

try:
    import click
except ModuleNotFoundError:
    sys.exit("The commands need more packages: pip install -r requirements.txt (beside this file).")

from .receive import PREFIX


@click.group(epilog="tmpcache's repository has a demo of it: python -m examples.check_demo")
def main() -> None:
    """Read, decide and record bank checks."""


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line, for programs.")
@click.argument("file", nargs=-1, required=True)
@click.pass_context
def read(context: click.Context, as_json: bool, file: tuple[str, ...]) -> None:
    """Read check images (JPEG, PNG, TIFF, BMP, GIF) from disk.

    With --json: file, decision (accept, review, reject; error if the file cannot be opened),
    reason, routing, account, serial, amount (cents in the MICR line, or null), confidence (0 to 1).

    The exit status is 1 if a file could not be opened, else 0, whatever was found.
    """
    from .files import run

    context.exit(run(file, as_json))


def _incoming(_: click.Context, __: click.Parameter, prefix: str) -> str:
    if not prefix.startswith(PREFIX):
        raise click.BadParameter(f"{prefix!r} is not under {PREFIX!r}, where uploads are.")
    return prefix


@main.command()
@click.option("--bucket", required=True, help="Where the uploads are.")
@click.option("--prefix", default=PREFIX, show_default=True, callback=_incoming)
@click.option("--scheduler", help="Of a Dask cluster, such as tcp://10.0.0.1:8786.")
@click.option("--workers", type=click.IntRange(1), help="Processes here; default one per core.")
@click.pass_context
def batch(
    context: click.Context, bucket: str, prefix: str, scheduler: str | None, workers: int | None
) -> None:
    """Process all uploads under a prefix, with Dask, on all cores or many machines.

    Kill it and start it again, and it goes on with what is left. Settings come from the
    environment, as in the function: MODEL_BUCKET, MAIL_FROM and more (services.py has them all).

    The exit status is 1 if an upload is not done, else 0.
    """
    if scheduler and workers:
        raise click.UsageError("Give --scheduler or --workers: a cluster has its own workers.")
    from .batch import run_batch

    context.exit(run_batch(bucket, prefix, scheduler, workers))


@main.command()
@click.option("--version", default="1", show_default=True, help="What readings name it.")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def model(version: str, file: Path) -> None:
    """Draw the recogniser's model into FILE, for the bucket with models."""
    from .reader import build_model

    file.write_bytes(build_model(version))


if __name__ == "__main__":
    main(prog_name=f"python -m {__package__}")
