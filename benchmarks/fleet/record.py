"""What was measured of fleets: kept as JSON, so that page and picture can be made of it again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Literal

from .cold_start import ColdStart
from .figures import Figures

Way = Literal["without", "listing", "listing and pack"]


@dataclass(slots=True)
class Run:
    """What real processes asked for, and took, in one of the ways."""

    processes: int
    #: GETs: until each had all objects, and while they were watched.
    cold_gets: int
    gets: int
    #: Requests of the writer in all.
    written: int
    #: Whether all requests were as many as simulated.
    is_as_simulated: bool
    #: Until all had all objects: seconds of real time, and of work of all processes.
    seconds: float
    worked: float


@dataclass(slots=True)
class Record:
    """All that was measured."""

    day: str
    machine: dict[str, str]
    #: By way: a fleet of each size.
    fleets: dict[Way, list[Figures]] = field(default_factory=dict)
    cold_starts: dict[Way, list[ColdStart]] = field(default_factory=dict)
    runs: dict[Way, Run] = field(default_factory=dict)
    #: Fleets without a listing, and with one, for which it does little: by what they are like.
    others: dict[str, tuple[Figures, Figures]] = field(default_factory=dict)


def save(record: Record, path: str) -> None:
    """Write what was measured into a file."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump(asdict(record), file, indent=1)
        file.write("\n")


def load(path: str) -> Record:
    """Return what :func:`save` wrote."""
    with open(path, encoding="utf-8") as file:
        kept = json.load(file)
    for name, kind in (("fleets", Figures), ("cold_starts", ColdStart), ("others", Figures)):
        kept[name] = {way: [kind(**one) for one in found] for way, found in kept[name].items()}
    kept["others"] = {what: tuple(pair) for what, pair in kept["others"].items()}
    kept["runs"] = {way: Run(**run) for way, run in kept["runs"].items()}
    return Record(**kept)
