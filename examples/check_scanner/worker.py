"""One process that handles events, as a function's container does from its start to its end.

``python -m examples.check_scanner.worker < events.jsonl`` handles one event per line, then prints
one JSON report: what was scanned, what the cache did meanwhile, what it holds now.
"""

import json
import sys
import time
from dataclasses import asdict

import tmpcache
from examples.check_scanner.handler import handler


def main() -> None:
    """Handle the events on standard input, report on standard output."""
    started = time.monotonic()
    results = [handler(json.loads(line), context=None) for line in sys.stdin]
    report = {
        "seconds": time.monotonic() - started,
        "scanned": [check for result in results for check in result["scanned"]],
        "rejected": [check for result in results for check in result["rejected"]],
        "stats": asdict(tmpcache.default_cache().stats()),
        "usage": asdict(tmpcache.default_cache().usage()),
    }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
