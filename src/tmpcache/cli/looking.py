"""The commands that look: ``ls``, ``du``, ``dir``, ``stats``, ``manifest``."""

from __future__ import annotations

import dataclasses
import os
import time
from typing import TYPE_CHECKING, Any

import click

from .errors import say
from .filters import HELP, Filter, below
from .output import Cell, age, human_size, number, print_json, print_table, size, text
from .state import State, pass_state, split, url_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..reports import Entry

    Test = Callable[[Entry], bool]

_ORDERS: dict[str, Callable[[Entry], Any]] = {
    "url": lambda entry: (entry.bucket, entry.key, entry.pinned_version or ""),
    "size": lambda entry: -entry.size,
    "used": lambda entry: -entry.used_at,
    "checked": lambda entry: -(entry.validated_at or 0),
}
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
filter_option = click.option(
    "--filter", "filters", metavar="CONDITION", type=Filter(), multiple=True, help=HELP
)


@click.command(
    epilog="""\b
Columns: size, time since the last use, time since S3 last confirmed the copy, URL, version; in a
pipe bytes and seconds, without titles.
\b
Examples:
  tmpcache ls s3://models/micr/ --sort used
  tmpcache ls --filter 'size>1GB' --filter 'used>7d'
  tmpcache ls -q --filter 'used>30d' | xargs -d '\\n' tmpcache rm
  tmpcache ls --json | jq -r '.[].path'"""
)
@click.argument("url", required=False)
@click.option(
    "--sort",
    type=click.Choice([*_ORDERS]),
    default="url",
    show_default=True,
    help="Largest, last used and last confirmed first.",
)
@click.option("--reverse", "-r", is_flag=True, help="The other way round.")
@filter_option
@json_option
@click.option("--quiet", "-q", is_flag=True, help="Print URLs only.")
@pass_state
def ls(
    state: State,
    /,
    url: str | None,
    sort: str,
    reverse: bool,
    filters: tuple[Test, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """List the objects that the cache has copies of, all or those whose URLs begin with URL."""
    bucket, prefix = split(url) if url else (None, "")
    found = sorted(below(state.cache.entries(), bucket, prefix, filters), key=_ORDERS["url"])
    found.sort(key=_ORDERS[sort], reverse=reverse)
    if as_json:
        print_json([_fields(entry) for entry in found])
    elif quiet:
        for name in dict.fromkeys(url_of(entry.bucket, entry.key) for entry in found):
            click.echo(text(name).plain)
    else:
        print_table(("SIZE", "USED", "CHECKED", "URL", "VERSION"), map(_row, found))


def _row(entry: Entry) -> tuple[Cell, ...]:
    ages = age(entry.used_at), age(entry.validated_at)
    return size(entry.size), *ages, text(url_of(entry.bucket, entry.key)), _version(entry)


def _version(entry: Entry) -> Cell:
    return text(entry.pinned_version or "")


def _fields(entry: Entry) -> dict[str, object]:
    fields = dataclasses.asdict(entry)
    return {"url": url_of(entry.bucket, entry.key), **fields, "path": str(entry.path)}


@click.command()
@json_option
@pass_state
def du(state: State, /, as_json: bool) -> None:
    """Show the disk usage of each bucket, in blocks. The use of the quota goes to stderr.

    Objects with the same content share one file, which counts for each bucket that has one.
    """
    files: dict[str, dict[str, int]] = {}
    objects: dict[str, int] = {}
    for entry in state.cache.entries():
        files.setdefault(entry.bucket, {})[str(entry.path)] = entry.allocated
        objects[entry.bucket] = objects.get(entry.bucket, 0) + 1
    usage = state.cache.usage()
    if as_json:
        buckets: list[dict[str, object]] = [
            {"bucket": name, "objects": objects[name], "allocated": sum(files[name].values())}
            for name in sorted(files)
        ]
        whole: dict[str, object] = {**dataclasses.asdict(usage), "free": usage.free}
        print_json({"usage": whole, "buckets": buckets})
        return
    rows = [
        (size(sum(files[name].values())), number(objects[name]), text(name))
        for name in sorted(files)
    ]
    total = (size(usage.blob_bytes), number(usage.objects), text("total"))
    print_table(("SIZE", "OBJECTS", "BUCKET"), [*rows, total])
    parts = {"leased": usage.leased, "reserved": usage.reserved, "overhead": usage.overhead}
    detail = ", ".join(f"{name} {human_size(value)}" for name, value in parts.items())
    say(
        f"{human_size(usage.used)} of {human_size(usage.quota)} used ({detail}); "
        f"{human_size(usage.disk_free)} free on the disk"
    )


@click.command("dir")
@pass_state
def dir_(state: State, /) -> None:
    """Print the path of the cache directory."""
    click.echo(state.root)


@click.command()
@json_option
@pass_state
def stats(state: State, /, as_json: bool) -> None:
    """Show what all programs did with this cache directory, also those that have ended.

    A program's counts arrive here within 30 seconds, and when it ends. `clear` keeps them; they
    begin anew with a new directory, or an index that was damaged.
    """
    found = state.cache.root_stats()
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    counts = dataclasses.asdict(found)
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(counts.pop("since")))
    rows = [(text("since"), Cell(int(found.since), since))]
    for name, value in counts.items():
        rows.append((text(name), size(value) if "bytes" in name else number(value)))
    print_table(("", "STATISTICS"), rows)


@click.command(
    epilog="""\b
Examples:
  tmpcache manifest --to warm.json
  tmpcache manifest | aws s3 cp - s3://deploy/warm.json"""
)
@click.option("--to", metavar="FILE", help="Write it there instead, in one step.")
@pass_state
def manifest(state: State, /, to: str | None) -> None:
    """Print a list of all objects, last used first, from which `tmpcache warm` fetches them."""
    document = state.cache.manifest()
    if to is None:
        click.echo(document)
        return
    temporary = f"{to}.{os.urandom(6).hex()}"
    with open(temporary, "x", encoding="utf-8") as file:
        file.write(document)
    os.replace(temporary, to)
    click.echo(to)
