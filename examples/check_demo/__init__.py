"""The demo: a bank's checks go through the function, and a page shows what became of each.

``python -m examples.check_demo [--checks N] [--output FILE]`` sends drawn checks to S3, DynamoDB
and SES on loopback, runs the function under Lambda's own runtime client, prints what reached S3,
and writes one HTML page with everything. The exit status is 1 if a promise was not kept.
"""

import importlib.util
from pathlib import Path


def run(checks: int, output: Path) -> int:
    """Run the demo with that many checks, and write its page."""
    if importlib.util.find_spec("awslambdaric") is None:
        raise SystemExit("The demo needs awslambdaric (Linux only): pip install -e . --group demo.")
    from .show import show

    return show(checks, output)
