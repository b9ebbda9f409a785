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
from examples.check_scanner.page import Story, write


def show(count: int, output: Path) -> int:
    """Run everything and write the page; 1 if a promise was not kept."""
    began = time.monotonic()
    checks = []
    for number, check in enumerate(uploads.checks(count), 1):
        checks.append(check)
        progress(f"Drawing check {number} of {count} …")
    odd = uploads.odd_ones(checks[0])
    every = 2 * (len(checks) + len(odd))
    with running() as cloud:
        played = play(cloud, checks, odd, lambda n: progress(f"Invocation {n} of {every} …"))
        known = cases(played, cloud)
        kept = promises(played, known, cloud)
        ledger = {name: cloud.table(name) for name in ("processed", "review", "rejected")}
        mails = cloud.mails()
    progress("Writing the page …")
    write(Story(played.acts, known, kept, ledger, mails), output)
    progress("")
    total = sum(len(sent.body) for sent in (*checks, *odd))
    print(
        f"{len(checks)} checks and {len(odd)} odd uploads ({size(total)}), each announced twice to "
        "the function under Lambda's runtime client:\n"
    )
    print(table(played.acts))
    print()
    for promise in kept:
        print(f"{'NOT KEPT' if promise.broken else 'kept':>8}  {promise.text} {promise.broken}")
    print(f"\n{output}  ({size(output.stat().st_size)}, {time.monotonic() - began:.0f} s)")
    return 1 if any(promise.broken for promise in kept) else 0


def progress(line: str) -> None:
    """Show one line in place of the last one, to people only."""
    if sys.stderr.isatty():
        print(f"\r{line}\033[K", end="", file=sys.stderr, flush=True)
