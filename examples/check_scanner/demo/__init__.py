"""The demo: a bank's checks go through the function, and a page shows what became of each.

``python -m examples.check_scanner [--checks N] [--output FILE]`` sends drawn checks to S3, DynamoDB
and SES on loopback, runs the function under Lambda's own runtime client, prints what reached S3,
and writes one HTML page with everything. The exit status is 1 if a promise was not kept.
"""

import argparse
import importlib.util
from pathlib import Path

#: Fewest checks that every act has some of.
FEWEST = 5


def main() -> int:
    """Run the demo."""
    parser = argparse.ArgumentParser(prog="python -m examples.check_scanner")
    parser.add_argument("--checks", type=int, default=60, help="how many to draw; default 60")
    parser.add_argument(
        "--output", type=Path, default=Path("check-scanner.html"), help="where the page goes"
    )
    arguments = parser.parse_args()
    if arguments.checks < FEWEST:
        parser.error(f"give at least {FEWEST} checks")
    if importlib.util.find_spec("awslambdaric") is None:
        parser.error("the demo needs awslambdaric (Linux only): pip install -e '.[demo]'")
    from examples.check_scanner.demo.show import show

    return show(arguments.checks, arguments.output.absolute())
