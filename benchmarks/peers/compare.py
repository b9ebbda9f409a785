"""tmpcache beside its peers, each at its best, on the same work against the same server.

Each peer has an adapter (in `adapters`), which runs in a process and a virtual environment of its
own and speaks JSON lines, so that nothing of a peer is imported here. What is measured goes into
``docs/benchmarks.json``; the page and the picture beside it are made of that.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence

from ..report import Mark, Result
from ..server import CAP, Server
from .pages import page, with_measured
from .picture import picture
from .record import Record, load, save
from .roster import OURS, TREE, taking_part
from .run import measured
from .works import WORKS, Work, quickly

DOCS = os.path.join(TREE, "docs")
#: Of what the connections carry that are in use, what must arrive.
_CAPPED_MARK = 0.85


def measure(
    directory: str, server: Server, works: Sequence[str], environments: str, quick: bool
) -> Iterator[Result]:
    """Have all peers do the works of these names, or all works if there are none.

    Writes page and picture after each, unless it is `quick`: then the page is printed, and no mark
    is held against anybody.
    """
    chosen = [work for work in WORKS if not works or work.name in works]
    records = {}
    for work in quickly(chosen) if quick else chosen:
        with tempfile.TemporaryDirectory(dir=directory) as place:
            records[work.name] = record = measured(work, server, place, environments)
        if not quick:
            write({work.name: record}, DOCS)
            if work.condition == "capped":
                yield from _capped(work, record)
    if quick:
        print(page(records))


def write(records: dict[str, Record], directory: str) -> None:
    """Write page, picture and their numbers; works that are not in `records` stay as they were."""
    kept = os.path.join(directory, "benchmarks.json")
    known = load(kept) | records
    known = {work.name: known[work.name] for work in WORKS if work.name in known}
    save(known, kept)
    texts = {"benchmarks.md": page(known), "benchmarks.svg": picture(known)}
    if os.path.exists(replaced := os.path.join(directory, "instead-of.md")):
        with open(replaced, encoding="utf-8") as file:
            texts["instead-of.md"] = with_measured(file.read(), known)
    for name, text in texts.items():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)


def _capped(work: Work, record: Record) -> Iterator[Result]:
    """Yield how near tmpcache comes to what the connections in use can carry."""
    for peer in taking_part(work.verb):
        row = record.rows.get(peer.name)
        if peer.name.startswith(OURS) and row is not None and row.spread is not None:
            full = [work.size / (CAP * count) for count in row.connections]
            most = max(row.connections)
            what = f"{peer.name}, {work.title}, against {most} full ones"
            mark = Mark("ratio", round(1 / _CAPPED_MARK, 3))
            yield Result("peers", what, mark, row.seconds, full)
