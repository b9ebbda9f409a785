"""A store of uploads in parts that notes which are open, and misbehaves on demand."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from support.handmade import Answer, Asked, HandmadeS3, error, etag_of, handmade, object_answer

MIB = 1 << 20
BODY = os.urandom(5 * MIB + 1)
PARTS = 6


class PartsStore:
    """Takes uploads; `fail` may answer a request in its place, once that has been carried out."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        #: The parts of each upload that is neither completed nor aborted.
        self.open: dict[str, dict[int, bytes]] = {}
        #: Called with each step ("create", "part", …) before, and after it is carried out.
        self.before: Callable[[str, Asked], Answer | None] = lambda step, asked: None
        self.after: Callable[[str, Asked], Answer | None] = lambda step, asked: None
        self.steps: list[str] = []
        self._lock = threading.Lock()
        self._count = 0

    def answer(self, asked: Asked) -> Answer:
        """Answer a request."""
        step = step_of(asked)
        self.steps.append(step)
        if refused := self.before(step, asked):
            return refused
        with self._lock:
            answer = self._carry_out(step, asked)
        return self.after(step, asked) or answer

    def count(self, step: str) -> int:
        """Return how often a step was asked for."""
        return self.steps.count(step)

    def _carry_out(self, step: str, asked: Asked) -> Answer:
        name = asked.path
        if step == "get":
            return object_answer(asked, self.objects[name])
        if step == "put":
            self.objects[name] = asked.body
            return Answer(200, b"", {"ETag": etag_of(asked.body)})
        if step == "create":
            self._count += 1
            self.open[f"u{self._count}"] = {}
            return _xml("InitiateMultipartUploadResult", f"<UploadId>u{self._count}</UploadId>")
        upload = re.findall("uploadId=([^&]*)", asked.query)[0]
        if upload not in self.open:
            return error(404, "NoSuchUpload")
        if step == "part":
            self.open[upload][number_of(asked)] = asked.body
            return Answer(200, b"", {"ETag": etag_of(asked.body)})
        parts = self.open.pop(upload)
        if step == "abort":
            return Answer(204)
        numbers = [int(text) for text in re.findall(rb"<PartNumber>(\d+)<", asked.body)]
        assert numbers == sorted(parts)
        self.objects[name] = b"".join(parts[number] for number in numbers)
        return _xml("CompleteMultipartUploadResult", f"<ETag>{etag_of(self.objects[name])}</ETag>")


def step_of(asked: Asked) -> str:
    """Return which step of an upload a request is."""
    if "uploadId" not in asked.query:
        return {"GET": "get", "PUT": "put", "POST": "create"}[asked.method]
    return {"PUT": "part", "POST": "complete", "DELETE": "abort"}[asked.method]


def number_of(asked: Asked) -> int:
    """Return the number of a part."""
    return int(re.findall(r"partNumber=(\d+)", asked.query)[0])


def without_an_end() -> Answer:
    """Return an answer that breaks off."""
    return Answer(200, b"<", {"Content-Length": "100", "Connection": "close"})


def _xml(name: str, text: str) -> Answer:
    return Answer(200, f"<{name}>{text}</{name}>".encode(), {"Content-Type": "text/xml"})


@contextmanager
def running(store: PartsStore) -> Iterator[HandmadeS3]:
    """Serve it during the block."""
    with handmade(store.answer) as server:
        yield server
