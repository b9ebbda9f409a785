"""The tables, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from ..report import shown
from .record import Record, Row
from .roster import OURS, PEERS, PLAIN, taking_part
from .works import LATENCY, THREADS, Verb

#: One column: its head, and what it says of a peer.
Column = tuple[str, Callable[[str], str]]
Records = dict[str, Record]

#: Who is on the page about what tmpcache replaces, in the order of its sections.
_REPLACED = (
    *(OURS, "tmpcache, boto3"),
    *("guard", "cached_path", "fsspec + s3fs", "cloudpathlib", "diskcache + boto3"),
)
_IN_SHORT = ("cold-far", "asking-far", "fresh", "many-far", "large")
_MEASURED = re.compile(r"(?<=<!-- measured -->\n\n).*?(?=\n\n<!-- end -->)", re.DOTALL)

_TEXT = f"""\
# tmpcache and its peers

The same objects from the same server, by tmpcache and by what else brings S3 objects into files.
`python -m benchmarks peers` measures this and writes this page; `make bench` does so as well.

![The tables below, drawn](benchmarks.svg)

Each cell is the median over the rounds of one run, ± half the distance between the quartiles, and
in brackets how many times as long as tmpcache this peer took: the median of the ratios within each
round. All peers take turns, in an order that is turned around each time. The fastest is bold. Bytes
are compared with the object's before a time counts.

tmpcache comes in three rows. The first is tmpcache as it comes: credentials and endpoint are
[plain](design/direct-origin.md) here, so it downloads without boto3. The other two ask S3 through
boto3 and through obstore.

* **cold**: an object that was never seen, into an empty cache, over connections that are open.
  Single objects: the median for one; in parallel: the time for all, with {THREADS} threads, or as
  the peer itself does many at once.
* **asking**: the object is cached, and whether it is still current is asked of the server.
* **not asking**: the object is cached and taken as it is.
* **process start to first object in hand**: a new process, with an empty cache and credentials in
  the environment, as in a new environment of Lambda. The clock runs from the start of the process
  until the 10 KiB have been read. Modules are compiled before. Plain Python fetches nothing: its
  clock runs until the process has ended, and it is never bold.
* **put**: a file of 256 MiB to a server that takes uploads and keeps nothing. The bytes that arrive
  are counted; they are not compared.
* **peak memory**: of the process while the object arrives, above what it took after a first small
  one; of s5cmd and curl, all that the program took.
* **connections**: how many answers the server was sending at the same time, at most.

Everything is written to one file system, through the page cache; nobody waits for the disk. The
server shares the machine's cores with the client. On loopback without a cap the client's own work
is what takes time; S3 is more like the other two conditions: {1000 * LATENCY:.0f} ms for a request,
and 90 MB/s for a connection.
"""


def page(records: Records) -> str:
    """Return the whole page."""
    parts = [_TEXT, "## Large objects", _large(records), "## Small objects, on loopback"]
    parts += [_small(records, "", ("cold", "many", "asking", "fresh"))]
    if any(work.endswith("-far") for work in records):
        parts += [f"## Small objects, {1000 * LATENCY:.0f} ms away", _far(records)]
    parts += ["## A new process", _ways(records, "start", "the whole program")]
    parts += ["## Uploads", _ways(records, "put", "how")]
    parts += [_wrong(records), "## Who was asked how", _who(records), "## Where", _where(records)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def with_measured(text: str, records: Records) -> str:
    """Return the page about what tmpcache replaces, its table of measurements made anew."""
    columns = [_timed(records.get(work)) for work in _IN_SHORT]
    return _MEASURED.sub(lambda _: _table(columns, _REPLACED), text)


def _large(records: Records) -> str:
    """Return the section about large objects, where bytes are what counts."""
    near, capped = records.get("large"), records.get("large-capped")
    return _table(
        [
            _timed(near),
            ("peak memory", lambda name: _memory(_row(near, name))),
            _timed(capped),
            ("connections", lambda name: _number(_row(capped, name).connections)),
        ]
    )


def _small(records: Records, suffix: str, works: Iterable[str]) -> str:
    return _table([_timed(records.get(work + suffix)) for work in works])


def _far(records: Records) -> str:
    """Return the section about a far endpoint, where requests are what counts."""
    cold, many, asking = (records.get(f"{work}-far") for work in ("cold", "many", "asking"))
    return _table(
        [
            _timed(cold),
            ("requests", lambda name: _requests(_row(cold, name))),
            _timed(many),
            _timed(asking),
            ("requests", lambda name: _requests(_row(asking, name))),
        ]
    )


def _ways(records: Records, work: Verb, head: str) -> str:
    """Return the section about a work with peers of its own: times, and what each does."""
    how = {peer.name: peer.how for peer in taking_part(work)}
    return _table([_timed(records.get(work)), (head, lambda name: how[name])], _names(work))


def _wrong(records: Records) -> str:
    """Return what could not be measured, and why."""
    lines = [
        f"* {record.title}: {record.missing}." for record in records.values() if record.missing
    ]
    for name in dict.fromkeys(name for record in records.values() for name in record.rows):
        reasons: dict[str, list[str]] = {}
        for record in records.values():
            if failed := _row(record, name).failed:
                reasons.setdefault(failed, []).append(record.title)
        lines += [f"* {name} ({'; '.join(what)}): {why}" for why, what in reasons.items()]
    return "\n".join(["## What failed", "", *lines]) if lines else ""


def _who(records: Records) -> str:
    def versions(name: str) -> str:
        told = {
            f"{what} {version}"
            for record in records.values()
            for what, version in _row(record, name).versions.items()
        }
        return ", ".join(sorted(told))

    how = {peer.name: peer.how for peer in PEERS}
    return _table([("how", lambda name: how[name]), ("versions", versions)])


def _where(records: Records) -> str:
    """Return the machine, as of the newest work."""
    if not records:
        return ""
    newest = max(records.values(), key=lambda record: record.day)
    lines = [f"* {name}: {fact}" for name, fact in newest.machine.items()]
    return "\n".join([*lines, f"* measured: {newest.day}"])


def _timed(record: Record | None) -> Column:
    """Return the column with the seconds of one work."""
    if record is None:
        return "not measured", lambda name: ""
    times = {name: row.spread.median for name, row in record.rows.items() if row.spread is not None}
    fastest = min(times.keys() - {PLAIN}, key=lambda name: times[name], default="")

    def cell(name: str) -> str:
        row = _row(record, name)
        if row.spread is None:
            return row.lacks or ("failed" if row.failed else "")
        text = shown(row.spread, "seconds")
        if name == fastest:
            text = f"**{text}**"
        ratio = record.ratio(name, OURS)
        return text if ratio is None or name == OURS else f"{text} ({_times(ratio)})"

    return record.title, cell


def _times(ratio: float) -> str:
    return f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.2g}x"


def _row(record: Record | None, name: str) -> Row:
    return record.rows.get(name, Row()) if record is not None else Row()


def _memory(row: Row) -> str:
    if row.memory is None:
        return ""
    return f"{row.memory.median / 2**20:.0f} MiB" if row.memory.median >= 2**20 else "< 1 MiB"


def _number(numbers: Sequence[int]) -> str:
    return (
        "-".join(str(number) for number in sorted({min(numbers), max(numbers)})) if numbers else ""
    )


def _requests(row: Row) -> str:
    return ", ".join(f"{number:g} {method}" for method, number in sorted(row.requests.items()))


def _names(verb: Verb) -> list[str]:
    return [peer.name for peer in taking_part(verb)]


def _table(columns: Sequence[Column], names: Sequence[str] = ()) -> str:
    """Return a row for each peer of these names; without any, for all who fetch."""
    lines = [["", *(head for head, _ in columns)], ["---"] * (len(columns) + 1)]
    rows = names or _names("cold")
    lines += [[name, *(cell(name) for _, cell in columns)] for name in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
