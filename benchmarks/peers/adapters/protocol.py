"""What the harness and a peer's process say to each other: one JSON object per line.

The process begins with ``{"versions": {…}}``. Then each line it is sent is answered with one:

* ``{"do": "open", "directory": D, "bucket": B, "key": K}``: a new and empty cache in D, which
  fetches K so that connections and lazy imports are paid for. Answer: ``{"path": P}``
* ``{"do": "cold", "bucket": B, "keys": […], "threads": N}``: fetch each, one after the other.
* ``{"do": "many", …}``: fetch all at once, with N threads or however this peer does it.
* ``{"do": "asking", …}``: fetch what is cached, after asking whether it is still current.
* ``{"do": "fresh", …}``: fetch what is cached, without asking.
* ``{"do": "put", …, "source": S}``: upload the file S/K for each key K. Its paths are those of the
  copies that the cache has kept, or of the files themselves if it keeps none.

* ``{"do": "close"}``: leave the directory alone from now on. Answer: ``{}``

The answer to each of the other five: ``{"seconds": […], "paths": […], "peak": bytes}``; the peak is
that of memory above what was taken after the first ``open``, null where /proc does not tell.
What goes wrong is answered with ``{"error": "…"}``, and what an adapter cannot do by design (it
raises NotImplementedError) with ``{"lacks": "…"}``.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from time import perf_counter
from typing import Any, Protocol


class Adapter(Protocol):
    """What every peer can do; some can do more.

    These methods they may have or not:

    * ``fetch_many(bucket, keys, threads)``: the paths; else a pool of threads calls ``fetch``
    * ``ask(bucket, key)``: the path of a cached copy, after asking whether it is current
    * ``hit(bucket, key)``: the path of a cached copy, at once
    * ``put(bucket, key, path)``: the path of the copy that is kept of an upload, if one is
    * ``close()``
    * ``peak``: bytes, all of the memory of a program that does the work; else it is this process's
    """

    def fetch(self, bucket: str, key: str) -> str:
        """Return the path of a local copy of an object that the cache does not have yet."""


def serve(make: Callable[[str], Adapter], *distributions: str, **versions: str) -> None:
    """Answer what comes on standard input, with `make(directory)` as the cache, until it ends.

    The versions of `distributions` are told first, together with `versions`.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # whatever a peer prints is not an answer
        process = _Process(make)
        told = {"versions": {name: version(name) for name in distributions} | versions}
        print(json.dumps(told), file=answers, flush=True)
        for line in sys.stdin:
            print(json.dumps(process.answer(json.loads(line))), file=answers, flush=True)


class _Process:
    def __init__(self, make: Callable[[str], Adapter]) -> None:
        self._make = make
        self._adapter: Any = None
        self._base: int | None = None

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked for; an error is an answer, too."""
        try:
            if asked["do"] == "open":
                return self._open(asked["directory"], asked["bucket"], asked["key"])
            if asked["do"] == "close":
                return self._close()
            if asked["do"] == "put":
                return self._put(asked["bucket"], asked["keys"], asked["source"])
            return self._timed(asked["do"], asked["bucket"], asked["keys"], asked["threads"])
        except NotImplementedError as error:
            return {"lacks": str(error)}
        except Exception as error:
            return {"error": " ".join(f"{type(error).__name__}: {error}".split())}

    def _open(self, directory: str, bucket: str, key: str) -> dict[str, Any]:
        self._adapter = self._make(directory)
        path = str(self._adapter.fetch(bucket, key))
        if self._base is None:
            self._base = memory("VmRSS")
        return {"path": path}

    def _close(self) -> dict[str, Any]:
        if hasattr(self._adapter, "close"):
            self._adapter.close()
        self._adapter = None
        return {}

    def _timed(self, verb: str, bucket: str, keys: list[str], threads: int) -> dict[str, Any]:
        paths: list[str] = []
        seconds: list[float] = []
        _forget_peak()
        if verb == "many":
            start = perf_counter()
            paths = self._many(bucket, keys, threads)
            seconds = [perf_counter() - start]
        else:
            name = {"cold": "fetch", "asking": "ask", "fresh": "hit"}[verb]
            call = getattr(self._adapter, name)
            for key in keys:
                start = perf_counter()
                path = call(bucket, key)
                seconds.append(perf_counter() - start)
                paths.append(str(path))
        return {"seconds": seconds, "paths": paths, "peak": self._peak()}

    def _put(self, bucket: str, keys: list[str], source: str) -> dict[str, Any]:
        paths: list[str] = []
        seconds: list[float] = []
        _forget_peak()
        for key in keys:
            file = os.path.join(source, key)
            start = perf_counter()
            path = self._adapter.put(bucket, key, file)
            seconds.append(perf_counter() - start)
            paths.append(str(path or file))
        return {"seconds": seconds, "paths": paths, "peak": self._peak()}

    def _many(self, bucket: str, keys: list[str], threads: int) -> list[str]:
        if hasattr(self._adapter, "fetch_many"):
            return [str(path) for path in self._adapter.fetch_many(bucket, keys, threads)]
        with ThreadPoolExecutor(threads) as pool:
            return [
                str(path) for path in pool.map(lambda key: self._adapter.fetch(bucket, key), keys)
            ]

    def _peak(self) -> int | None:
        assert self._base is not None, "open comes first"
        if not self._base:
            return None
        return getattr(self._adapter, "peak", None) or memory("VmHWM") - self._base


def memory(name: str, process: int | str = "self") -> int:
    """Return bytes of a process as Linux counts them; 0 elsewhere, and when it has ended."""
    try:
        with open(f"/proc/{process}/status", encoding="ascii") as status:
            found = re.search(rf"{name}:\s*(\d+) kB", status.read())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def _forget_peak() -> None:
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # proc(5): the peak begins anew
    except OSError:
        pass
