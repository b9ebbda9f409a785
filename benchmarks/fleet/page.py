"""The tables of ``docs/fleet.md``, made of what was measured."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .cold_start import ColdStart
from .figures import Figures
from .record import Record, Run

#: Of the table of fleets.
_HEAD = (
    *("machines", "", "GETs a minute", "with a body", "above 5,500 a second"),
    *("a month", "served stale", "stalest"),
)
#: Of the table of processes.
_RUN_HEAD = (
    *("processes", "", "cold: GETs", "all done", "CPU time"),
    *("then 60 s: GETs", "of the writer", ""),
)


def tables(record: Record) -> dict[str, str]:
    """Return all tables by the name of their place."""
    return {
        "fleets": _table(
            _HEAD,
            _of_fleets(record),
        ),
        "cold starts": _table(
            ("machines", "", "GETs", "refused", "errors", "half are warm", "all are warm"),
            _of_cold_starts(record),
        ),
        "processes": _table(_RUN_HEAD, (_of_run(way, run) for way, run in record.runs.items())),
        "others": _table(
            ("", "without: GETs a minute", "with", "without: a month", "with"),
            (_of_pair(what, *pair) for what, pair in record.others.items()),
        ),
        "day": f"Measured on {record.day} with tmpcache {record.machine['tmpcache']}.",
    }


def with_tables(text: str, record: Record) -> str:
    """Return a page with the tables between ``<!-- name -->`` and ``<!-- end of name -->``."""
    for name, table in tables(record).items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        place = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        new = f"{begin}{table}\n{end}"
        text = place.sub(lambda _, new=new: new, text)  # type: ignore[misc]
    return text


def _of_fleets(record: Record) -> Iterator[tuple[str, ...]]:
    for same_size in zip(*record.fleets.values(), strict=True):
        for way, figures in zip(record.fleets, same_size, strict=True):
            yield (f"{figures.machines:,}", way, *_of_figures(figures))


def _of_figures(figures: Figures) -> Iterator[str]:
    yield f"{figures.gets:,.0f}"
    yield f"{figures.brought:,.0f}"
    yield f"{figures.above:.0%}" if figures.above else "0"
    yield _dollars(figures.dollars)
    yield f"{figures.stale:.2%} by {figures.stale_mean:.0f} s"
    yield f"{figures.stale_most:.0f} s"


def _of_cold_starts(record: Record) -> Iterator[tuple[str, ...]]:
    """Yield a row for each fleet, without a pack and with one: a listing changes nothing here."""
    fleets = record.fleets["without"]
    for number, figures in enumerate(fleets):
        for way in ("without", "listing and pack"):
            cold = record.cold_starts[way][number]
            what = "with a pack" if way == "listing and pack" else "without"
            yield (f"{figures.machines:,}", what, *_of_cold_start(cold))


def _of_cold_start(cold: ColdStart) -> Iterator[str]:
    for count in (cold.gets, cold.refused, cold.errors):
        yield f"{count:,}"
    for seconds in (cold.half, cold.all):
        yield f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _of_run(way: str, run: Run) -> tuple[str, ...]:
    told = "as simulated" if run.is_as_simulated else "NOT as simulated"
    times = f"{run.seconds:.0f} s", f"{run.worked:.0f} s"
    return (
        str(run.processes),
        way,
        f"{run.cold_gets:,}",
        *times,
        f"{run.gets:,}",
        f"{run.written:,}",
        told,
    )


def _of_pair(what: str, one: Figures, two: Figures) -> tuple[str, ...]:
    gets = f"{one.gets:,.0f}", f"{two.gets:,.0f}"
    return (what, *gets, _dollars(one.dollars), _dollars(two.dollars))


def _dollars(amount: float) -> str:
    """Return an amount as people write it.

    >>> _dollars(0.864), _dollars(34.56), _dollars(34560.2)
    ('$0.86', '$35', '$34,560')
    """
    return f"${amount:,.2f}" if amount < 10 else f"${amount:,.0f}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    rule = ("---",) * len(head)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))
