"""What a run of the demo did, and the table that shows all runs side by side."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import humanize


@dataclass(frozen=True, slots=True)
class Run:
    """One process's report, and the requests and bytes that S3 saw meanwhile."""

    title: str
    report: dict[str, Any]
    requests: Counter[str]
    downloaded: int

    @property
    def models(self) -> set[str]:
        """The versions of the model that checks were scanned with."""
        return {check["band"]["model_version"] for check in self.report["scanned"]}

    def cells(self) -> list[str]:
        """The run as a row of the table."""
        stats, usage = self.report["stats"], self.report["usage"]
        return [
            self.title,
            *(str(stats[outcome]) for outcome in ("hits", "revalidated", "fetched")),
            *(str(self.requests[answer]) for answer in ("GET 304", "GET 200", "PUT 200")),
            size(self.downloaded),
            f"{self.report['seconds']:.1f} s",
            str(stats["evicted"]),
            str(usage["blobs"]),
            size(usage["used"]),
            size(usage["quota"]),
        ]


# Headings above the columns: text, number of columns.
_GROUPS = (("", 1), ("tmpcache answered", 3), ("S3 was asked", 3), ("", 3), ("cache", 3))
_HEAD = "run|hit|revalidated|fetched|GET 304|GET 200|PUT|downloaded|time|evicted|files|disk|quota"


def table(runs: Iterable[Run]) -> str:
    """Lay the runs out below each other, numbers to the right."""
    rows = [_HEAD.split("|"), *(run.cells() for run in runs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(row, widths) for row in rows]
    rule = "─" * len(lines[0])
    return "\n".join([_groups(widths), lines[0], rule, *lines[1:], rule])


def size(count: int) -> str:
    """Bytes for people, such as ``3.7 MB``."""
    return humanize.naturalsize(count, format="%.1f") if count else "0"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    title, *numbers = map(str.rjust, row, widths)
    return "  ".join([title.strip().ljust(widths[0]), *numbers])


def _groups(widths: Sequence[int]) -> str:
    cells = []
    left = iter(widths)
    for text, columns in _GROUPS:
        width = sum(islice(left, columns)) + 2 * (columns - 1)
        cells.append(f" {text} ".center(width, "╌") if text else " " * width)
    return "  ".join(cells)
