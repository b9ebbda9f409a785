"""The report on a soak: a table of rounds, a table of promises, and each kind of violation."""

from __future__ import annotations

import platform
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from .rounds import Result

#: Each promise, what attacks it, and how often that happened.
_PROMISES: dict[str, tuple[str, str, Callable[[Counter[str]], str]]] = {
    "P1": (
        "Whole: exactly one version, to its last byte",
        "every path is read and compared, while bodies are cut, stalled and corrupted",
        lambda c: f"{c['verified']:,} paths",
    ),
    "P2": (
        "True ETag",
        "the ETag tells the version that the bytes are compared with",
        lambda c: f"{c['verified']:,} paths",
    ),
    "P3": (
        "Strict quota",
        "all workers stand still while the blocks under the root are added up",
        lambda c: f"{c['samples']:,} samples",
    ),
    "P4": (
        "In use stays",
        "paths that are held are read again while others evict, clear and clean",
        lambda c: f"{c['reread']:,} reads",
    ),
    "P5": (
        "No clean shutdown needed",
        "SIGKILL at any moment; afterwards a new process works, and nothing is left over",
        lambda c: f"{c['kills']:,} kills",
    ),
    "P6": (
        "Nothing in the background",
        "after every call, threads are counted",
        lambda c: f"{c['operations']:,} calls",
    ),
    "P8": (
        "A hit never bypasses IAM",
        "credentials change all the time; each is denied one object in five",
        lambda c: f"{c['answers']:,} answers",
    ),
    "P9": (
        "Nothing outside the root is touched",
        "links in scratch directories lead to a tree outside, which is compared afterwards",
        lambda c: f"{c['rounds']:,} comparisons",
    ),
    "P10": (
        "Damage is a miss",
        "a cleaner and a vandal take files; `verify()` finds none that is wrong",
        lambda c: f"{c['cleanings'] + c['vandalisms']:,} times",
    ),
    "P13": (
        "No answer is older than allowed",
        "the ETag tells when its version was replaced",
        lambda c: f"{c['answers']:,} answers",
    ),
    "errors": (
        "Only the documented exceptions",
        "every exception of every call",
        lambda c: f"{c['refused']:,} exceptions",
    ),
    "signal": (
        "A signal handler's exception comes out",
        "a signal in the middle of a call, whose handler raises",
        lambda c: f"{c['interrupted']:,} interrupts",
    ),
    "descriptors": (
        "No descriptors leak",
        "they are counted after every call, and after `close()`",
        lambda c: f"{c['operations']:,} calls",
    ),
    "hang": (
        "Nothing hangs",
        "a worker is given 20 s without progress, while others are stopped",
        lambda c: f"{c['stops']:,} stops",
    ),
    "crash": (
        "No process dies of itself",
        "files of the store are truncated and deleted while they are mapped",
        lambda c: f"{c['operations']:,} calls",
    ),
}
_COLUMNS = ("operations", "verified", "kills", "stops", "interrupted", "samples")


def violations_of(results: Iterable[Result]) -> Counter[str]:
    """Return how often each promise was broken."""
    return Counter(one["promise"] for result in results for one in result.violations)


def rounds_table(results: Sequence[Result]) -> str:
    """Return a row for each round."""
    head = ["round", "s", *_COLUMNS, "cleanings", "most on disk", "violations", "gaps"]
    rows = [head, ["---"] * len(head)]
    for result in results:
        counts = result.counts
        broken = ", ".join(f"{name} {n}" for name, n in sorted(violations_of([result]).items()))
        gaps = Counter(one["promise"] for one in result.gaps)
        found = ", ".join(f"{name} {n}" for name, n in sorted(gaps.items()))
        rows.append(
            [
                result.name,
                f"{result.seconds:.0f}",
                *(f"{counts[name]:,}" for name in _COLUMNS),
                f"{counts['cleanings'] + counts['vandalisms']:,}",
                f"{result.peak / result.quota:.1%}",
                broken or "none",
                found or "none",
            ]
        )
    return _table(rows)


def promises_table(results: Sequence[Result]) -> str:
    """Return a row for each promise."""
    counts, broken = Counter[str](rounds=len(results)), violations_of(results)
    for result in results:
        counts.update(result.counts)
    for outcome in ("hit", "revalidated", "fetched", "stale"):
        counts["answers"] += counts[outcome]
    rows = [["promise", "what attacked it", "how often", "broken"], ["---"] * 4]
    for name, (promise, attack, often) in _PROMISES.items():
        label = f"{name}: {promise}" if name.startswith("P") else promise
        rows.append(
            [label, attack, often(counts), f"{broken[name]:,} times" if broken[name] else "never"]
        )
    return _table(rows)


def kinds_of(results: Iterable[Result]) -> list[str]:
    """Return each kind of violation once: how often, in what, and the first of them in full."""
    kinds: dict[tuple[str, str], list[dict[str, str]]] = {}
    for result in results:
        for one in result.violations:
            what = re.sub(r"\w+/\S+|[0-9a-f]{6,}|\d+", "#", one["what"])[:60]
            kinds.setdefault((one["promise"], what), []).append(one)
    return [_kind(found) for _, found in sorted(kinds.items())]


def _kind(found: list[dict[str, str]]) -> str:
    first = found[0]
    operations = Counter(one["operation"] for one in found).most_common()
    return (
        f"{len(found)} x {first['promise']}: {first['what']}\n"
        f"in {', '.join(f'{name} {count}' for name, count in operations)}\n"
        f"seed {first['seed']}, round {first['round']}, worker {first.get('worker', '-')}, "
        f"operation {first['operation']}\n{first['traceback']}"
    )


def page(results: Sequence[Result], command: str) -> str:
    """Return the text of docs/reliability.md."""
    seconds = sum(result.seconds for result in results)
    return f"""\
# What was done to it

Eight processes share one cache: they fetch, put, load, evict, clear and fork, a third of them
directly, a third through boto3 and a third through obstore, with credentials that change. The
server changes its objects all the time, answers 503 and 403, cuts, stalls and corrupts bodies.
Meanwhile the processes are killed, stopped and interrupted, and in some rounds their files are
deleted. Two of the processes are never killed, so that leaks add up. Every path that a call returns
is read and compared with the bytes that its ETag stands for.

`{command}` measured this, in {seconds / 60:.0f} minutes with
Python {platform.python_version()} on {platform.system()}. `make soak` does the same for longer; a
short form of it is among the tests.

## Promises

{promises_table(results)}

## Rounds

A round has its own root and quota. `cleaned`: old files are removed as systemd-tmpfiles does it,
which leaves locked files and directories alone; at one visit in five no process is alive.
`vandalized`: session files, `changes` and files of the index are deleted at random. A deleted
session protects the paths of its process from those processes only that have seen the file before,
until its process makes it anew with its next call. A deleted index has no reservations until it is
rebuilt. A path that was lost so, or a sample over the quota, is a gap and not a broken promise.
`most on disk` is the largest sample in percent of the quota.

{rounds_table(results)}
"""


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
