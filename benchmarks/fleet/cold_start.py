"""How long a fleet needs to get warm, if all its machines start at once: discrete events.

Each machine sends its requests over some connections, one after the other on each. A GET takes the
latency, and the time of its bytes. What S3 refuses is asked for again as by boto3 and by the direct
origin: after up to 1, 2, 4 and 8 seconds. After five refusals the program has an error, and asks
again in its next job.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tmpcache.fetching.many.fetch_many import THREADS

from ..peers.works import LATENCY
from ..server import CAP
from .prices import GETS_A_SECOND

#: Attempts of one request, as boto3's "legacy" mode has them.
_ATTEMPTS = 5
#: Seconds within which all machines start.
_SPREAD = 1.0


@dataclass(frozen=True, slots=True)
class ColdStart:
    """What became of it; times are seconds after the first machine has started."""

    gets: int
    #: Requests that S3 refused, and programs' errors of that.
    refused: int
    errors: int
    #: When half of the machines were warm, and when all were.
    half: float
    all: float


def cold_start(
    machines: int, sizes: Sequence[int], every: float, seed: int = 1, connections: int = THREADS
) -> ColdStart:
    """Return how machines get warm that have to get bodies of these sizes, in bytes.

    With one connection, they are asked for one after the other.
    """
    lanes = min(connections, len(sizes))
    fleet = _Fleet(machines, np.array(sizes), lanes, np.random.default_rng(seed))
    now = 0.0
    while not fleet.is_warm:
        now = max(now + LATENCY, math.floor(fleet.next_at / LATENCY) * LATENCY)
        fleet.advance(now + LATENCY, every)
    gets, half = machines * len(sizes), float(np.median(fleet.warm_at))
    return ColdStart(gets, fleet.refused, fleet.errors, half, float(fleet.warm_at.max()))


class _Fleet:
    """The connections of all machines: when each sends its next request, and what has come of it.

    Requests within one latency of each other cannot follow from each other, so they are looked at
    together.
    """

    def __init__(
        self, machines: int, sizes: NDArray[np.int64], lanes: int, chance: np.random.Generator
    ) -> None:
        self._chance, self._took = chance, LATENCY + sizes / CAP
        self._machine = np.repeat(np.arange(machines), lanes)
        self._at = np.repeat(chance.uniform(0, _SPREAD, machines), lanes)
        self._request = np.tile(np.arange(lanes), machines)
        self._refusals = np.zeros(machines * lanes, int)
        #: By machine: the next request that no connection has; when it had all so far.
        self._following, self.warm_at = np.full(machines, lanes), np.zeros(machines)
        self._answered: Counter[int] = Counter()
        self.refused = self.errors = 0

    @property
    def next_at(self) -> float:
        """When the next request is sent."""
        return float(self._at.min())

    @property
    def is_warm(self) -> bool:
        """Whether no machine has anything to ask for."""
        return self.next_at == math.inf

    def advance(self, until: float, every: float) -> None:
        """Send what is to be sent before a time."""
        sent = np.flatnonzero(self._at < until)
        sent = sent[np.argsort(self._at[sent], kind="stable")]
        second = int(until - LATENCY / 2)
        count = min(len(sent), GETS_A_SECOND - self._answered[second])
        self._answered[second] += count
        self._answer(sent[:count])
        self._refuse(sent[count:], every)

    def _answer(self, lanes: NDArray[np.int64]) -> None:
        """Let requests be answered; their connections go on with what is left for their machine."""
        lanes = lanes[np.argsort(self._machine[lanes], kind="stable")]
        machines = self._machine[lanes]
        done = self._at[lanes] + self._took[self._request[lanes]]
        np.maximum.at(self.warm_at, machines, done)
        places = np.arange(len(lanes)) - np.searchsorted(machines, machines)
        self._request[lanes] = self._following[machines] + places
        np.add.at(self._following, machines, 1)
        self._refusals[lanes] = 0
        self._at[lanes] = np.where(self._request[lanes] < len(self._took), done, math.inf)

    def _refuse(self, lanes: NDArray[np.int64], every: float) -> None:
        """Let requests be refused; they are sent again after a while."""
        self.refused += len(lanes)
        self._refusals[lanes] += 1
        pause = self._chance.random(len(lanes)) * 2.0 ** (self._refusals[lanes] - 1)
        has_failed = self._refusals[lanes] == _ATTEMPTS
        self.errors += int(has_failed.sum())
        self._at[lanes] += LATENCY + np.where(has_failed, every, pause)
        self._refusals[lanes[has_failed]] = 0
