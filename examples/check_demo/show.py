"""From the first drawing to the printed table."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from examples.check_scanner.result import State
from tmpcache.testing import FunctionError, InitError

from . import uploads
from .acts import play
from .cases import cases
from .cloud import running
from .distance import LATENCY
from .large import SIZE, starts
from .page import Story, write
from .promises import promises
from .table import WIDTH, milliseconds, size, table
from .uploads import Sent


def show(count: int, output: Path) -> int:
    """Run everything, write the page, print the table; 1 if a promise was not kept."""
    began = time.monotonic()
    people = Console(stderr=True)
    with Progress(console=people, transient=True, disable=not people.is_terminal) as shown:
        drawing = shown.add_task("Drawing checks", total=count)
        checks = list(shown.track(uploads.checks(count), task_id=drawing))
        odd = uploads.odd_ones(checks[0])
        invoking = shown.add_task("Invocations", total=2 * (len(checks) + len(odd)))
        try:
            story = told(checks, odd, lambda done: shown.update(invoking, completed=done))
        except (FunctionError, InitError) as error:
            print(error, file=sys.stderr)
            return 1
        write(story, output)
    sizes = size(sum(len(sent.body) for sent in (*checks, *odd)))
    print(f"{len(checks)} checks and {len(odd)} odd uploads ({sizes}), each announced twice.\n")
    console = Console(highlight=False)
    console.width = max(console.width, WIDTH)
    console.print(table(story.acts), end="\n")
    print()
    print(f"A model of {size(SIZE)} from an S3 {1000 * LATENCY:.0f} ms away is ready in", end=" ")
    print(", ".join(f"{milliseconds(one.seconds)} {one.title}" for one in story.starts) + ".\n")
    for promise in story.promises:
        print(
            f"NOT KEPT: {promise.text} {promise.broken}" if promise.broken else f"✓ {promise.text}"
        )
    took = time.monotonic() - began
    print(f"\nThe page, {size(output.stat().st_size)}, after {took:.0f} s: {output}")
    return 1 if any(promise.broken for promise in story.promises) else 0


def told(checks: list[Sent], odd: list[Sent], progress: Callable[[int], None]) -> Story:
    """Play it, and gather what there is to tell while the services are there."""
    with running() as cloud:
        played = play(cloud, checks, odd, progress)
        known = cases(played, cloud)
        ledger = {state: cloud.table(state) for state in State}
        kept = promises(played, known, cloud)
        return Story(played.acts, known, kept, ledger, cloud.mails(), starts(cloud))
