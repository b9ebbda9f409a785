"""Machines that are real processes, each with its own root and credentials, over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ..peers.roster import TREE
from .bucket import URL, Bucket
from .caches import Writer
from .timeline import Scenario

#: A process that waits for what it shall do, with pipes to it and from it.
Process = subprocess.Popen[str]


class Processes:
    """A :class:`.fleet.Fleet` of processes. The writer is a cache in this one."""

    def __init__(
        self, scenario: Scenario, bucket: Bucket, directory: str, processes: list[Process]
    ) -> None:
        """Roots are made below `directory`."""
        self._scenario, self._bucket, self._directory = scenario, bucket, directory
        self._processes = processes
        #: Processes that are doing something, and when by the clock of the bucket.
        self._busy: list[tuple[Process, float]] = []
        self._writer = Writer(scenario, bucket, directory)
        self.write, self.close = self._writer.write, self._writer.cache.close
        #: Seconds that the starts took: of real time, and of work of all processes.
        self.started_in = self.worked = 0.0
        #: When the starts that are under way began; None if there are none.
        self._began: float | None = None

    def start(self, machine: int) -> None:
        """Have a process open an empty cache, warm it if there is a pack, and fetch all objects."""
        root = os.path.join(self._directory, str(machine))
        listings = [URL] if self._scenario.listing else []
        self._began = self._began or time.monotonic()
        self._tell(
            machine,
            root=root,
            max_age=self._scenario.max_age,
            listings=listings,
            warm=self._scenario.pack,
        )

    def use(self, machine: int) -> None:
        """Have a process fetch all objects."""
        if any(process is self._processes[machine] for process, _ in self._busy):
            self.settle()
        self._tell(machine)

    def settle(self) -> None:
        """Wait until all have done what they do."""
        for process, at in self._busy:
            assert process.stdout is not None
            answer = json.loads(process.stdout.readline() or '{"error": "its process ended"}')
            if "error" in answer:
                raise RuntimeError(f"a machine failed: {answer['error']}")
            self._bucket.note_served(answer["etags"], at)
            self.worked += answer["cpu"] * (self._began is not None)
        if self._began is not None:
            self.started_in += time.monotonic() - self._began
        self._began = None
        self._busy.clear()

    def _tell(self, machine: int, **asked: Any) -> None:
        process = self._processes[machine]
        assert process.stdin is not None
        asked |= {"now": self._bucket.now, "keys": self._bucket.keys}
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        self._busy.append((process, self._bucket.now))


@contextmanager
def running(count: int, endpoint: str) -> Iterator[list[Process]]:
    """Run processes that ask an endpoint, each with credentials of its own; all are ready."""
    with ExitStack() as stack:
        processes = []
        for number in range(count):
            environment = {
                **os.environ,
                "AWS_ENDPOINT_URL_S3": endpoint,
                "AWS_ACCESS_KEY_ID": f"machine-{number}",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.fleet.process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                cwd=TREE,
                text=True,
            )
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        yield processes
