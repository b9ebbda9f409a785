"""``python -m benchmarks.fleet.process``: one machine, which does what each line of JSON says.

It says that it is ready, and answers with the ETags that it was served and the seconds that it has
worked, or with an error. The line says what time it is.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from tmpcache import Cache

from .bucket import BUCKET, URL


class _Machine:
    def __init__(self) -> None:
        self._cache: Cache | None = None
        self._now = 0.0

    def do(self, now: float, **asked: Any) -> list[str]:
        """Open a cache (`root`), warm it (`warm`), and fetch the objects (`keys`)."""
        self._now = now
        if "root" in asked:
            self._open(asked["root"], asked["max_age"], asked["listings"])
        assert self._cache is not None
        if asked.get("warm"):
            self._cache.warm(URL)
        paths = self._cache.fetch_many(BUCKET, asked["keys"])
        return [path.etag or "" for path in paths]

    def _open(self, root: str, max_age: float, listings: list[str]) -> None:
        if self._cache is not None:
            self._cache.close()
        self._cache = Cache(root, max_age=max_age, listings=listings, clock=lambda: self._now)


def main() -> None:
    """Do what is asked until there is nothing any more."""
    machine = _Machine()
    print(flush=True)
    for line in sys.stdin:
        try:
            before = time.process_time()
            answer: dict[str, Any] = {"etags": machine.do(**json.loads(line))}
            answer["cpu"] = time.process_time() - before
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
