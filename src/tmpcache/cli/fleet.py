"""The commands that write what a fleet of machines reads: ``put-listing``, ``put-pack``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import click

from ..fetching.listings import document as listing
from ..fetching.packs import document as pack
from .errors import say
from .fetching import fetch_urls, text_at
from .looking import json_option
from .output import human_size, human_time, number, print_json, print_table, size, text
from .progress import progress
from .state import State, pass_state, url_of

if TYPE_CHECKING:
    from .. import CachedFile


class _Written(NamedTuple):
    """What a command has put into S3, in the order of the columns."""

    url: str
    #: How many objects it speaks for, and its own size in bytes.
    objects: int
    size: int
    #: When its LIST began, in seconds since the epoch.
    at: float
    etag: str | None


@click.command(
    "put-listing",
    epilog="""\b
Columns: the URL that was written, the objects in it, its size in bytes.
\b
Examples:
  tmpcache put-listing s3://models/micr/
  TMPCACHE_LISTINGS=s3://models/micr/ TMPCACHE_MAX_AGE=60 program    # on each machine""",
)
@click.argument("url", metavar="URL/")
@json_option
@pass_state
def put_listing(state: State, /, url: str, as_json: bool) -> None:
    """List what is below a prefix, and put the listing beside it as .tmpcache-listing.

    Machines that have the prefix among their TMPCACHE_LISTINGS confirm their copies by it, with one
    request for all of them. Put it more often than every TMPCACHE_MAX_AGE seconds.
    """
    began = time.monotonic()
    with state.cache.put_listing(url) as path, open(path, "rb") as file:
        found = listing.parse(file.read(), path.key.removesuffix(listing.LISTING))
    assert found is not None, "it was just written"
    say(f"{len(found.etags):,} objects listed in {human_time(time.monotonic() - began)}")
    _show(_written(path, len(found.etags), found.at), as_json)


@click.command(
    "put-pack",
    epilog="""\b
Columns: the URL that was written, the objects in it, its size in bytes.
\b
Examples:
  tmpcache put-pack s3://models/micr/ --max-bytes 200MB    # last used here first
  ssh other tmpcache manifest | tmpcache put-pack s3://models/micr/ --manifest -
  tmpcache warm s3://models/micr/                          # on each machine""",
)
@click.argument("url", metavar="URL/")
@click.option(
    "--max-bytes",
    metavar="SIZE",
    default="64 MB",
    show_default=True,
    help="Pack no more content than this.",
)
@click.option(
    "--manifest",
    metavar="URL|FILE|-",
    help="Pack the objects that it names, in its order, and no others.",
)
@json_option
@pass_state
def put_pack(
    state: State, /, url: str, max_bytes: str, manifest: str | None, as_json: bool
) -> None:
    """Pack objects below a prefix into one, and put that beside them as .tmpcache-pack.

    A cold machine unpacks it with `tmpcache warm`. The objects that were last used here come first.
    Those that were uploaded in parts or encrypted with KMS are left out. Who may read the pack may
    read all that is in it.
    """
    named = None if manifest is None else _manifest(state, manifest)
    began = time.monotonic()
    with progress("packing") as report:
        report.quiet = True
        path = state.cache.put_pack(url, max_bytes=max_bytes, manifest=named, progress=report)
    with path, open(path, "rb") as file:
        found = pack.parse(file.readline())
    assert found is not None, "it was just written"
    at, objects = found
    took = human_time(time.monotonic() - began)
    say(f"{len(objects):,} objects packed ({human_size(path.size)} in {took})")
    _show(_written(path, len(objects), at), as_json)


def _manifest(state: State, source: str) -> CachedFile | str | bytes:
    """Return a manifest that is an object, a file or, with -, what comes on stdin."""
    return fetch_urls(state, [source])[0] if source.startswith("s3://") else text_at(source)


def _written(path: CachedFile, objects: int, at: float) -> _Written:
    return _Written(url_of(path.bucket, path.key), objects, path.size, at, path.etag)


def _show(written: _Written, as_json: bool) -> None:
    if as_json:
        print_json(written._asdict())
    else:
        row = text(written.url), number(written.objects), size(written.size)
        print_table(("URL", "OBJECTS", "SIZE"), [row])
