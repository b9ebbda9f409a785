"""From the first drawing to the printed table."""

import sys
import time
from pathlib import Path

from examples.check_scanner.demo import uploads
from examples.check_scanner.demo.acts import play
from examples.check_scanner.demo.cases import cases
from examples.check_scanner.demo.cloud import running
from examples.check_scanner.demo.promises import promises
from examples.check_scanner.demo.table import size, table
from examples.check_scanner.demo.uploads import Sent
from examples.check_scanner.page import Story, write
from examples.check_scanner.result import State
from tmpcache.testing import FunctionError, InitError


def show(count: int, output: Path) -> int:
    """Run everything, write the page, print the table; 1 if a promise was not kept."""
    began = time.monotonic()
    checks = []
    for number, check in enumerate(uploads.checks(count), 1):
        checks.append(check)
        progress(f"Drawing check {number} of {count} …")
    odd = uploads.odd_ones(checks[0])
    try:
        story = told(checks, odd)
    except (FunctionError, InitError) as error:
        progress("")
        print(error, file=sys.stderr)
        return 1
    progress("Writing the page …")
    write(story, output)
    progress("")
    total = sum(len(sent.body) for sent in (*checks, *odd))
    print(
        f"{len(checks)} checks and {len(odd)} odd uploads ({size(total)}), each announced twice.\n"
    )
    print(table(story.acts), end="\n\n")
    for promise in story.promises:
        print(
            f"NOT KEPT: {promise.text} {promise.broken}" if promise.broken else f"✓ {promise.text}"
        )
    took = time.monotonic() - began
    print(f"\nThe page, {size(output.stat().st_size)}, after {took:.0f} s: {output}")
    return 1 if any(promise.broken for promise in story.promises) else 0


def told(checks: list[Sent], odd: list[Sent]) -> Story:
    """Play it, and gather what there is to tell while the services are there."""
    every = 2 * (len(checks) + len(odd))
    with running() as cloud:
        played = play(cloud, checks, odd, lambda n: progress(f"Invocation {n} of {every} …"))
        known = cases(played, cloud)
        ledger = {state: cloud.table(state) for state in State}
        return Story(played.acts, known, promises(played, known, cloud), ledger, cloud.mails())


def progress(line: str) -> None:
    """Show one line in place of the last one, to people only."""
    if sys.stderr.isatty():
        print(f"\r{line}\033[K", end="", file=sys.stderr, flush=True)
