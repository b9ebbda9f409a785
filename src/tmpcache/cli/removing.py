"""The commands that remove: ``rm``, ``prune``, ``verify``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from ..errors import ConfigError
from .errors import FAILURE, NOT_FOUND, Failure, say
from .filters import Duration
from .output import human_size
from .state import State, pass_state, split, url_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..reports import Entry

    #: Bucket, key and prefix: one object, what is below a prefix, or (None twice) all of a bucket.
    Named = tuple[str, str | None, str | None]


@click.command(
    epilog="""\b
Examples:
  tmpcache rm s3://models/e13b.npz
  tmpcache rm --recursive s3://models/micr/ --dry-run
  tmpcache rm --whole-bucket s3://models
  tmpcache rm --all"""
)
@click.argument("urls", metavar="URL...", nargs=-1)
@click.option("--recursive", "-r", is_flag=True, help="A URL that ends in / is a prefix.")
@click.option("--whole-bucket", is_flag=True, help="A URL without a key is a whole bucket.")
@click.option("--all", "everything", is_flag=True, help="Remove all of all buckets.")
@click.option("--dry-run", "-n", is_flag=True, help="Print what would be removed, and remove none.")
@pass_state
def rm(
    state: State,
    /,
    urls: tuple[str, ...],
    recursive: bool,
    whole_bucket: bool,
    everything: bool,
    dry_run: bool,
) -> None:
    """Remove copies from the cache. S3 keeps its objects.

    What programs use just now stays until they are done with it and the room is needed.
    """
    if everything == bool(urls):
        raise click.UsageError("give URLs, or --all")
    named = {url: _checked(url, recursive, whole_bucket) for url in urls}
    cache = state.cache
    found = _found(cache.entries(), named)
    if dry_run:
        _show([*cache.entries()] if everything else [e for es in found.values() for e in es])
        return
    if everything:
        freed = cache.clear()
    else:
        freed = sum(
            cache.evict(bucket, key, prefix=prefix, whole_bucket=whole_bucket)
            for bucket, key, prefix in named.values()
        )
    say(f"{human_size(freed)} freed")
    missing = [url for url, entries in found.items() if not entries]
    if missing:
        hint = "" if recursive else " (a prefix ends in /, and needs --recursive)"
        raise Failure(f"not in the cache: {' '.join(missing)}{hint}", NOT_FOUND)


def _checked(url: str, recursive: bool, whole_bucket: bool) -> Named:
    """Return bucket, key and prefix of what a URL names; raise unless that was asked for."""
    bucket, key = split(url)
    if not key:
        if not whole_bucket:
            raise ConfigError(f"{url} is a whole bucket: give --whole-bucket to remove all of it")
        return bucket, None, None
    if key.endswith("/") and recursive:
        return bucket, None, key
    return bucket, key, None


def _found(entries: Iterable[Entry], named: Mapping[str, Named]) -> dict[str, list[Entry]]:
    """Return the entries that each URL names. They are gone through once for all."""
    found: dict[str, list[Entry]] = {url: [] for url in named}
    objects = {(bucket, key): url for url, (bucket, key, _) in named.items() if key is not None}
    others = [
        (bucket, prefix or "", url) for url, (bucket, key, prefix) in named.items() if key is None
    ]
    for entry in entries:
        if url := objects.get((entry.bucket, entry.key)):
            found[url].append(entry)
        for bucket, prefix, url in others:
            if entry.bucket == bucket and entry.key.startswith(prefix):
                found[url].append(entry)
    return found


def _show(entries: list[Entry]) -> None:
    """Print what would be removed."""
    for entry in entries:
        click.echo(url_of(entry.bucket, entry.key))
    files = {entry.path: entry.allocated for entry in entries}
    say(f"{len(entries):,} objects, {human_size(sum(files.values()))} at most would be freed")


@click.command(
    epilog="""\b
Examples:
  tmpcache prune --older-than 30d
  tmpcache prune --ci      # as the last step of a CI job that saves the directory for the next"""
)
@click.option(
    "--older-than",
    metavar="DURATION",
    type=Duration(),
    help="Also remove copies that were not used for so long: 12h, 30d.",
)
@click.option(
    "--ci",
    is_flag=True,
    help="Also remove copies that were not used since the machine booted: this job did without.",
)
@pass_state
def prune(state: State, /, older_than: float | None, ci: bool) -> None:
    """Remove what nobody can use: superseded copies, and what programs that died left.

    Downloads that broke off begin anew then.
    """
    limits = [] if older_than is None else [older_than]
    if ci:
        limits.append(time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)))
    freed = state.cache.evict_unused(min(limits)) if limits else 0
    say(f"{human_size(freed + state.cache.gc())} freed")


@click.command()
@pass_state
def verify(state: State, /) -> None:
    """Read and hash every file. Damaged ones are removed, and their hashes and reasons printed."""
    found = state.cache.verify()
    for digest, reason in found.damaged:
        click.echo(f"{digest}\t{reason}")
    say(f"{found.blobs:,} files, {human_size(found.bytes)} read")
    if found.damaged:
        raise Failure(f"{len(found.damaged)} were damaged, and are removed", FAILURE)
