"""What the server says it was asked: the log of its noting endpoints."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from http.client import HTTPConnection

#: Bytes from which an answer is one that carries an object, rather than an error or a header.
_BODY = 64 * 1024
#: Seconds: the log is exact to a millisecond, so neighbours on one connection seem to overlap.
_EXACT = 0.002


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of the log; seconds, bytes."""

    method: str
    start: float
    end: float
    size: int


class Answers:
    """The lines that have come since one last looked."""

    def __init__(self, path: str, endpoint: str) -> None:
        self._path, self._address = path, endpoint.rpartition("/")[2]
        self._read = os.path.getsize(path)

    def new(self) -> list[Answer]:
        """Return what was answered since the last call."""
        self._wait()
        with open(self._path, "rb") as file:
            file.seek(self._read)
            text = file.read()
        self._read += len(text)
        return [_parsed(line) for line in text.decode("ascii").splitlines()]

    def _wait(self) -> None:
        """Wait until the log is written, which comes after the answer.

        There is one process of nginx, so it has done that when it answers at another endpoint;
        that one notes nothing.
        """
        connection = HTTPConnection(self._address, timeout=10)
        connection.request("HEAD", "/")
        connection.getresponse().close()
        connection.close()


def at_once(answers: list[Answer]) -> int:
    """Return how many bodies were on their way at the same time, at most."""
    bodies = [answer for answer in answers if answer.size >= _BODY]
    edges = [(answer.start + _EXACT, 1) for answer in bodies]
    edges += [(answer.end, -1) for answer in bodies]
    most = now = 0
    for _, change in sorted(edges):
        now += change
        most = max(most, now)
    return most


def methods(answers: list[Answer]) -> Counter[str]:
    """Return how many requests there were of each method."""
    return Counter(answer.method for answer in answers)


def _parsed(line: str) -> Answer:
    _, method, end, taken, size = line.split()
    return Answer(method, float(end) - float(taken), float(end), int(size))
