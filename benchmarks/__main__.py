"""``python -m benchmarks`` measures, prints a table, and says by its exit status how it went."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial

from . import __doc__ as description
from . import hit, memory, micr, scale, startup, wire
from .machine import facts
from .measure import progress
from .report import Result, table
from .server import Server, serving

_GROUPS: dict[str, Callable[[str, Server], Iterator[Result]]] = {
    "hit": hit.measure,
    "startup": startup.measure,
    "wire": wire.measure,
    "scale": scale.measure,
    "memory": memory.measure,
    "micr": micr.measure,
}


def main() -> int:
    """Run the groups that were asked for; 1 if a mark was missed."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("group", nargs="*", help=f"one of {', '.join(_GROUPS)}; default: all")
    parser.add_argument("--n", type=int, default=100, help="checks per tier that micr reads")
    parser.add_argument("--json", metavar="FILE", help="write the results there as well")
    arguments = parser.parse_args()
    _GROUPS["micr"] = partial(micr.measure, checks=arguments.n)
    if unknown := sorted(set(arguments.group) - set(_GROUPS)):
        parser.error(f"there is no group {unknown[0]!r}: choose from {', '.join(_GROUPS)}")
    with (
        tempfile.TemporaryDirectory(prefix="tmpcache-bench-") as directory,
        serving(directory) as server,
    ):
        machine = facts(server.name)
        results = list(_measured(arguments.group or list(_GROUPS), directory, server))
    print(*(f"{name}: {fact}" for name, fact in machine.items()), sep="\n")
    print(f"\n{table(results)}")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(
                {"machine": machine, "results": [result.as_json() for result in results]},
                file,
                indent=2,
            )
    return 0 if all(result.ok for result in results) else 1


def _measured(groups: list[str], directory: str, server: Server) -> Iterator[Result]:
    for name in groups:
        progress(f"{name} …")
        with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=directory) as place:
            yield from _GROUPS[name](place, server)


if __name__ == "__main__":
    sys.exit(main())
