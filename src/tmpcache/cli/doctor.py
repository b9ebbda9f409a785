"""The command ``doctor``: what is right and wrong, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ..common.finding import Finding
from ..errors import TmpCacheError
from ..fetching.listings import diagnosis as of_listings
from ..origin import diagnosis as of_origin
from ..origin.choice import chosen
from ..store import diagnosis as of_store
from .errors import FAILURE, Failure
from .looking import json_option
from .output import human_size, is_terminal, print_json, printable
from .state import State, pass_state, split

_SIGNS = {True: "✓", False: "✗", None: "-"}
_COLOURS = {True: "green", False: "red", None: "yellow"}


@click.command(
    epilog="""\b
Examples:
  tmpcache doctor
  tmpcache doctor s3://models/e13b.npz    # may these credentials read it?
  tmpcache doctor s3://models/            # may they list the bucket?"""
)
@click.argument("url", required=False)
@json_option
@pass_state
def doctor(state: State, /, url: str | None, as_json: bool) -> None:
    """Look at all that tmpcache needs, and say what to do about what is wrong.

    The cache directory, its owner, file system, locks, links and room; clock, credentials, origin,
    endpoint and, with URL, access to a bucket or object; the listings in TMPCACHE_LISTINGS. Nothing
    is kept or evicted.
    """
    bucket, key = split(url) if url else ("", "")
    findings = []
    for finding in _all(state, bucket, key):
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        print_json([finding._asdict() for finding in findings])
    wrong = [finding.subject for finding in findings if finding.is_well is False]
    if wrong:
        raise Failure(f"not well: {', '.join(wrong)}", FAILURE)


def _all(state: State, bucket: str, key: str) -> Iterator[Finding]:
    is_usable = True
    for finding in of_store.findings(state.root):
        is_usable = is_usable and finding != ("root", False, *finding[2:])
        yield finding
    if is_usable:
        yield from _room(state)
    yield from of_origin.findings(bucket, key, offline=state.settings.offline)
    if state.settings.listings and not state.settings.offline:
        yield from _listings(state)


def _listings(state: State) -> Iterator[Finding]:
    """Look at the listings, unless it was told already that there is no origin to ask."""
    try:
        origin = chosen(None, None, None, offline=False)
    except TmpCacheError:
        return
    try:
        yield from of_listings.findings(origin, state.settings)
    finally:
        origin.close()


def _room(state: State) -> Iterator[Finding]:
    """Look at the quota and the room for it."""
    try:
        usage = state.cache.usage()
    except TmpCacheError as error:
        yield Finding("index", False, str(error))
        return
    used = f"{human_size(usage.used)} of {human_size(usage.quota)} used"
    yield Finding("index", True, f"{usage.objects:,} objects, {used}")
    disk = f"{human_size(usage.disk_free)} on the disk"
    if usage.disk_free - usage.min_free < usage.free:
        fit = human_size(max(0, usage.used + usage.disk_free - usage.min_free))
        advice = f"free the disk, or lower the quota to what fits: {fit}"
        found = f"{disk}, less than the {human_size(usage.free)} that the quota has left"
        yield Finding("free space", False, found, advice)
    else:
        yield Finding("free space", True, disk)


def _print(finding: Finding) -> None:
    texts = finding.subject, finding.found, finding.advice
    subject, found, advice = map(printable, texts)
    sign = _SIGNS[finding.is_well]
    if not is_terminal():
        click.echo(f"{sign}\t{subject}\t{found}\t{advice}")
        return
    click.echo(f"{click.style(sign, fg=_COLOURS[finding.is_well])} {subject:<12} {found}")
    if advice:
        click.echo(f"  {'':<12} {click.style('→', bold=True)} {advice}")
