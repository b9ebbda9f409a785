"""The commands that fetch: ``fetch``, ``prefetch``, ``warm``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConfigError
from .errors import DENIED, FAILURE, Failure, say
from .files import copied, place_for
from .output import human_size, human_time, printable
from .progress import progress
from .state import State, pass_state, split, url_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .. import CachedFile

_OPTIONS = (
    click.option(
        "--max-age",
        type=float,
        metavar="SECONDS",
        help="Serve a copy that S3 confirmed so recently, without asking.",
    ),
    click.option(
        "--stale-if-error",
        type=float,
        metavar="SECONDS",
        help="Serve a copy this much older if S3 cannot be asked.",
    ),
)


def freshness_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options about freshness to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def fetch_urls(state: State, urls: Sequence[str], **options: Any) -> list[CachedFile]:
    """Fetch objects, those of one bucket together; return their paths in the order of the URLs."""
    names = [split(url) for url in urls]
    for url, (_, key) in zip(urls, names, strict=True):
        if not key:
            raise ConfigError(f"{url!r} names a bucket: give s3://bucket/key")
    found: dict[tuple[str, str], CachedFile] = {}
    for bucket in dict.fromkeys(bucket for bucket, _ in names):
        keys = list(dict.fromkeys(key for other, key in names if other == bucket))
        if len(keys) == 1:
            found[bucket, keys[0]] = state.cache.fetch(bucket, keys[0], **options)
            continue
        with progress("fetching") as report:
            paths = state.cache.fetch_many(bucket, keys, progress=report, **options)
        found.update(((bucket, key), path) for key, path in zip(keys, paths, strict=True))
    return [found[name] for name in names]


@click.command(
    epilog="""\b
Examples:
  tmpcache fetch s3://models/e13b.npz
  tmpcache fetch s3://models/e13b.npz --to e13b.npz --max-age 300
  tmpcache fetch s3://logs/today.gz --to - | zcat"""
)
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@click.option(
    "--to",
    metavar="FILE",
    help="Copy it there, in one step; a directory gets the object's own name; - is stdout.",
)
@click.option("--version-id", metavar="ID", help="Fetch this version of the object.")
@freshness_options
@pass_state
def fetch(
    state: State, /, urls: tuple[str, ...], to: str | None, version_id: str | None, **options: Any
) -> None:
    """Fetch objects, and print the path of each.

    The path is that of the read-only copy in the cache, which may be evicted once this command has
    ended. To keep a file, give --to; to use one while it is protected, see `tmpcache exec`.
    """
    if len(urls) > 1 and (version_id or (to is not None and to != "-" and not os.path.isdir(to))):
        raise click.UsageError("several URLs: leave --version-id out, and let --to be a directory")
    if version_id:
        bucket, key = split(urls[0])
        paths = [state.cache.fetch(bucket, key, version_id=version_id, **options)]
    else:
        paths = fetch_urls(state, urls, **options)
    for path in paths:
        if to == "-":
            with open(path, "rb") as source:
                for chunk in iter(lambda: source.read(1 << 20), b""):
                    sys.stdout.buffer.write(chunk)
        else:
            click.echo(path if to is None else copied(path, place_for(path.key, to)))


@click.command(
    epilog="""\b
Examples:
  tmpcache prefetch s3://models/micr/                  # all below the prefix
  tmpcache prefetch s3://models/micr/ --into ./micr    # and a tree of links to it
  tmpcache prefetch s3://models/a.npz s3://models/b.npz"""
)
@click.argument("urls", metavar="URL.../", nargs=-1, required=True)
@click.option("--into", metavar="DIR", help="Make a tree of links there, as the keys have it.")
@click.option(
    "--links",
    type=click.Choice(["hard", "copy"]),
    default="hard",
    show_default=True,
    help="What --into makes.",
)
@pass_state
def prefetch(state: State, /, urls: tuple[str, ...], into: str | None, links: str) -> None:
    """Fetch all objects below prefixes, so that they are there when a program wants them.

    A URL that ends in / is a prefix, s3://bucket/ all of a bucket; any other one is an object. All
    objects of one prefix must fit under the quota together.
    """
    prefixes = [url for url in urls if not split(url)[1] or url.endswith("/")]
    objects = [url for url in urls if url not in prefixes]
    if into is not None and objects:
        raise click.UsageError(f"--into is for prefixes, and {objects[0]} does not end in /")
    with progress("fetching") as report:
        if objects:
            fetch_urls(state, objects)
        for url in prefixes:
            bucket, prefix = split(url)
            tree = state.cache.fetch_prefix(bucket, prefix, into=into, links=links, progress=report)
            for key in tree.missing:
                say(f"{url_of(bucket, key)} was listed, and is not there any more")
            for key, reason in tree.unlinked.items():
                say(f"{url_of(bucket, key)} has no place in {into}: {reason}")
            report.add(len(tree))
    if into is not None:
        click.echo(into)


@click.command(
    epilog="""\b
Examples:
  tmpcache warm s3://models/micr/ --max-seconds 5      # the pack there, else all objects
  tmpcache manifest --to warm.json                     # on a machine that has worked
  tmpcache warm s3://deploy/warm.json --max-bytes 1GB  # on one that will
  ssh other tmpcache manifest | tmpcache warm -"""
)
@click.argument("source", metavar="URL|FILE|-")
@click.option("--max-bytes", metavar="SIZE", help="Fetch no more than this: '400 MB'.")
@click.option("--max-seconds", type=float, metavar="SECONDS", help="Fetch no longer than this.")
@pass_state
def warm(state: State, /, source: str, max_bytes: str | None, max_seconds: float | None) -> None:
    """Fetch what a manifest names, last used first. Nothing is evicted for it.

    The manifest is an object, a file or, with -, what comes on stdin. Of a prefix, a URL with a
    slash at its end or without a key, the pack is unpacked; without one, all of it is fetched.
    """
    manifest = source if source.startswith("s3://") else text_at(source)
    with progress("warming") as report:
        report.quiet = True
        done = state.cache.warm(
            manifest, max_bytes=max_bytes, max_seconds=max_seconds, progress=report
        )
    counts = {name: getattr(done, name) for name in ("present", "missing", "denied", "skipped")}
    others = "".join(f", {count} {name}" for name, count in counts.items() if count)
    say(f"{done.fetched} fetched ({human_size(done.bytes)} in {human_time(done.seconds)}){others}")
    for problem in done.problems:
        say(printable(problem))
    if done.problems:
        raise Failure(f"{len(done.problems)} objects could not be fetched", FAILURE)
    if done.denied and not done.fetched + done.present:
        raise Failure(f"{source}: S3 refuses all of it to these credentials", DENIED)


def text_at(source: str) -> str | bytes:
    """Return what is in a file, or what comes on stdin for ``-``."""
    if source == "-":
        return sys.stdin.read()
    with open(source, "rb") as file:
        return file.read()
