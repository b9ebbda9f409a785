"""What was measured: kept as JSON, so that tables and picture can be made of several runs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from ..measure import Spread


@dataclass(slots=True)
class Row:
    """One peer at one work; one number per round in each list."""

    #: Seconds: for one object or call, or for all that are fetched in parallel.
    seconds: list[float] = field(default_factory=list)
    #: Bytes of memory above what the process took after a first small object.
    peaks: list[int] = field(default_factory=list)
    #: How many requests were answered at the same time, at most.
    connections: list[int] = field(default_factory=list)
    #: How many of each method there were for one object.
    requests: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    #: Why it takes no part, by design.
    lacks: str = ""
    #: What went wrong; there are no numbers then.
    failed: str = ""

    @property
    def spread(self) -> Spread | None:
        """Median and quartiles of the rounds."""
        return Spread.of(self.seconds) if self.seconds and not self.failed else None

    @property
    def memory(self) -> Spread | None:
        """Median and quartiles of the peaks."""
        return Spread.of(self.peaks) if self.peaks and not self.failed else None


@dataclass(slots=True)
class Record:
    """What all peers took for one work on one machine."""

    work: str
    title: str
    day: str
    machine: dict[str, str]
    rows: dict[str, Row] = field(default_factory=dict)
    #: Why nobody could be measured here.
    missing: str = ""

    def ratio(self, peer: str, other: str) -> float | None:
        """Return how many times as long as `other` the peer took: the median over rounds."""
        one, two = self.rows.get(peer, Row()), self.rows.get(other, Row())
        if not one.seconds or not two.seconds or one.failed or two.failed:
            return None
        return Spread.of([a / b for a, b in zip(one.seconds, two.seconds, strict=True)]).median


def load(path: str) -> dict[str, Record]:
    """Return the records in a file by work; none if there is no file."""
    try:
        with open(path, encoding="utf-8") as file:
            kept = json.load(file)
    except FileNotFoundError:
        return {}
    return {record["work"]: _record(record) for record in kept}


def save(records: dict[str, Record], path: str) -> None:
    """Write the records into a file."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump([asdict(record) for record in records.values()], file, indent=1)
        file.write("\n")


def _record(kept: dict[str, Any]) -> Record:
    rows = {name: Row(**row) for name, row in kept.pop("rows").items()}
    return Record(rows=rows, **kept)
