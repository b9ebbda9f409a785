"""``python -m benchmarks`` measures, prints a table, and says by its exit status how it went."""

from __future__ import annotations

import argparse
import functools
import json
import sys
import tempfile
from collections.abc import Callable, Iterator

from . import __doc__ as description
from . import batch, hit, layer, listing, memory, micr, put, scale, startup, wire
from .fleet import measure as fleet
from .machine import facts
from .measure import progress
from .peers import compare
from .peers.environments import default_directory
from .peers.works import WORKS
from .report import HEAD, Result, print_table
from .server import Server, serving

Group = Callable[[str, Server], Iterator[Result]]

_GROUPS: dict[str, Group] = {
    "hit": hit.measure,
    "startup": startup.measure,
    "wire": wire.measure,
    "put": put.measure,
    "scale": scale.measure,
    "memory": memory.measure,
    "listing": listing.measure,
}


def main() -> int:
    """Run the groups that were asked for; 1 if a mark was missed."""
    parser = _parser()
    arguments = parser.parse_args()
    among_peers = functools.partial(
        compare.measure,
        works=arguments.work,
        environments=arguments.environments,
        quick=arguments.quick,
    )
    under_lambda = functools.partial(layer.measure, environments=arguments.environments)
    among_checks = functools.partial(micr.measure, checks=arguments.n)
    fleets = functools.partial(fleet.measure, quick=arguments.quick)
    in_a_batch = functools.partial(batch.measure, checks=arguments.checks, kills=arguments.kills)
    groups = _GROUPS | {
        "layer": under_lambda,
        "micr": among_checks,
        "batch": in_a_batch,
        "fleet": fleets,
        "peers": among_peers,
    }
    if unknown := sorted(set(arguments.group) - set(groups)):
        parser.error(f"there is no group {unknown[0]!r}: choose from {', '.join(groups)}")
    chosen = {name: groups[name] for name in arguments.group or groups}
    with (
        tempfile.TemporaryDirectory(prefix="tmpcache-bench-", dir=arguments.directory) as directory,
        serving(directory) as server,
    ):
        machine = facts(server.name, directory)
        results = list(_measured(chosen, directory, server))
    print(*(f"{name}: {fact}" for name, fact in machine.items()), sep="\n")
    if results:
        print_table(HEAD, (result.cells() for result in results))
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(
                {"machine": machine, "results": [result.as_json() for result in results]},
                file,
                indent=2,
            )
    return 0 if all(result.ok for result in results) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ", ".join([*_GROUPS, "layer", "micr", "batch", "fleet", "peers"])
    parser.add_argument("group", nargs="*", help=f"one of {names}; default: all")
    parser.add_argument("--json", metavar="FILE", help="write the results there as well")
    parser.add_argument("--directory", help="where to put objects and caches; default: $TMPDIR")
    checks = parser.add_argument_group("micr")
    checks.add_argument("--n", type=int, default=100, help="checks to read per tier")
    killed = parser.add_argument_group("batch")
    killed.add_argument("--checks", type=int, default=300, help="uploads to process")
    killed.add_argument("--kills", type=int, default=2, help="how often the batch is killed")
    pages = parser.add_argument_group("fleet, peers")
    pages.add_argument("--quick", action="store_true", help="see that it works; write no page")
    among = parser.add_argument_group("peers")
    among.add_argument(
        "--work",
        action="append",
        default=[],
        choices=[work.name for work in WORKS],
        help="only this one, and keep what the page says of others; may be repeated",
    )
    among.add_argument(
        "--environments",
        metavar="DIRECTORY",
        default=default_directory(),
        help="where the virtual environments of peers and layer are kept; default: %(default)s",
    )
    return parser


def _measured(groups: dict[str, Group], directory: str, server: Server) -> Iterator[Result]:
    for name, measure in groups.items():
        progress(f"{name} …")
        with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=directory) as place:
            yield from measure(place, server)


if __name__ == "__main__":
    sys.exit(main())
