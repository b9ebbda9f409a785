"""``python -m soak`` runs all rounds, prints a table, and says by its exit status how it went."""

from __future__ import annotations

import argparse
import os
import sys

from . import __doc__ as description
from .report import kinds_of, page, promises_table, rounds_table
from .rounds import ROUNDS, named, run


def main() -> int:
    """Run the rounds that were asked for; 1 if a promise was broken."""
    parser = _parser()
    arguments = parser.parse_args()
    rounds = [
        (quota, mode)
        for quota, mode in ROUNDS
        if arguments.quota in (None, quota) and arguments.mode in (None, mode or "plain")
    ]
    if not rounds:
        parser.error(f"there is no such round: {', '.join(named(*one) for one in ROUNDS)}")
    results = []
    print(f"seed {arguments.seed}: {', '.join(named(*one) for one in rounds)}", flush=True)
    for result in run(arguments.seed, arguments.seconds, arguments.kills, rounds):
        print(rounds_table([result]).splitlines()[-1], flush=True)
        results.append(result)
    kinds = kinds_of(results)
    print("", *kinds, promises_table(results), "", rounds_table(results), sep="\n")
    if arguments.report:
        with open(arguments.report, "w", encoding="utf-8") as file:
            file.write(page(results, f"python -m soak {_measured(arguments)}"))
    return int(bool(kinds))


def _measured(arguments: argparse.Namespace) -> str:
    """Return the flags that measure the same again."""
    flags = f"--seconds {arguments.seconds:g} --kills {arguments.kills} --seed {arguments.seed}"
    chosen = {"quota": arguments.quota, "mode": arguments.mode}
    return flags + "".join(f" --{name} {value}" for name, value in chosen.items() if value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m soak",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=1800, help="of all rounds together")
    parser.add_argument("--kills", type=int, default=5600, help="in all rounds together")
    parser.add_argument("--quota", type=int, help="only the rounds with this quota, in MiB")
    parser.add_argument("--mode", choices=("plain", "cleaned", "vandalized"), help="only these")
    parser.add_argument("--seed", default=os.urandom(4).hex(), help="the same dice as before")
    parser.add_argument("--report", metavar="FILE", help="where to write the page of results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
