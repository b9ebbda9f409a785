"""Runs one work after the other. In each round of a work, one peer measures after the other.

Small files are not removed before the whole run has ended. An ext4 without a journal passes over
all inodes that were deleted in the last minutes when it looks for a free one: after 3,000 deletions
it creates a file in 200 us, before that in 17.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from ..latency import delayed
from ..machine import facts
from ..measure import progress
from ..server import BUCKET, Server, sink, taken
from .answers import Answer, Answers, at_once, methods
from .conversation import Conversation, PeerFailed, PeerLacks
from .environments import interpreter
from .record import Record, Row
from .roster import TREE, taking_part
from .starts import record_starts
from .works import LATENCY, THREADS, Work

_PIECE = 1024 * 1024
_WARM_UP = "peers/warm-up"
#: Seconds for one answer. The slowest known takes 15.
_TIME_LIMIT = 120.0


class Meeting:
    """All peers at one work: what it needs on the server, and a process for each of them."""

    def __init__(
        self, work: Work, server: Server, endpoint: str, directory: str, environments: str
    ) -> None:
        self._work, self._server = work, server
        self._directory, self._environments = directory, environments
        self._endpoint = endpoint
        noting = server.noting
        self._answers = (
            Answers(noting.answers, server.endpoint)
            if noting and work.condition in ("capped", "far")
            else None
        )
        server.put(_WARM_UP, os.urandom(10_240))

    def record(self) -> Record:
        """Return what every peer took."""
        work = self._work
        day, machine = time.strftime("%Y-%m-%d"), facts(self._server.name, self._directory)
        record = Record(work.name, work.title, day, machine)
        for peer in taking_part(work.verb):
            record.rows[peer.name] = Row(lacks=peer.lacks.get(work.verb, ""))
        with self._everybody(record) as present:
            for number in range(work.rounds):
                keys = self._keys(number)
                order = list(present.items())
                for name, talk in order if number % 2 else reversed(order):
                    row = record.rows[name]
                    if not row.failed and not row.lacks:
                        self._take_turn(talk, row, keys)
                self._remove(keys)
        return record

    @contextmanager
    def _everybody(self, record: Record) -> Iterator[dict[str, Conversation]]:
        """Yield the processes of the peers that take part and can be started."""
        with ExitStack() as stack:
            present = {}
            for peer in taking_part(self._work.verb):
                row = record.rows[peer.name]
                if row.lacks:
                    continue
                try:
                    python = interpreter(peer, self._environments)
                except PeerFailed as reason:
                    row.failed = str(reason)
                    continue
                environment = {**peer.environment, "AWS_ENDPOINT_URL_S3": self._endpoint}
                log = os.path.join(self._directory, f"{peer.name}.log")
                talk = Conversation(python, peer.adapter, environment, TREE, log)
                present[peer.name] = stack.enter_context(talk)
            for name, talk in present.items():
                try:
                    record.rows[name].versions = talk.versions()
                except PeerFailed as reason:
                    record.rows[name].failed = str(reason)
            yield present

    def _take_turn(self, talk: Conversation, row: Row, keys: list[str]) -> None:
        place = tempfile.mkdtemp(dir=self._directory)
        try:
            source = os.path.join(self._server.objects, BUCKET)
            asked = {"bucket": BUCKET, "keys": keys, "threads": THREADS, "source": source}
            warm_up = {"do": "open", "bucket": BUCKET, "key": _WARM_UP, "directory": place}
            talk.ask(_TIME_LIMIT, **warm_up)
            if self._work.verb in ("asking", "fresh", "put"):  # the first time is not counted
                talk.ask(_TIME_LIMIT, do=self._work.verb, **{**asked, "keys": [_WARM_UP]})
            os.sync()  # what others have left to be written, this one shall not wait for
            self._receive()
            before = self._uploaded()
            answer = talk.ask(_TIME_LIMIT, do=self._work.verb, **asked)
            self._check(keys, answer["paths"])
            self._check_upload(self._uploaded() - before)
            talk.ask(_TIME_LIMIT, do="close")
        except PeerLacks as reason:
            row.lacks = str(reason)
        except PeerFailed as reason:
            row.failed = str(reason)
        else:
            row.seconds.append(statistics.median(answer["seconds"]))
            if answer["peak"] is not None:
                row.peaks.append(answer["peak"])
            self._note(row, self._receive())
        finally:
            if self._work.large:
                shutil.rmtree(place)

    def _keys(self, number: int) -> list[str]:
        """Return the objects of a round, which no peer has fetched before."""
        work = self._work
        if work.verb in ("asking", "fresh"):
            return [_WARM_UP] * work.count
        keys = [f"peers/{work.name}/{number}/{index}" for index in range(work.count)]
        for key in keys:
            _put_distinct(self._server, key, work.size)
        return keys

    def _remove(self, keys: list[str]) -> None:
        if self._work.large:
            for key in keys:
                os.remove(os.path.join(self._server.objects, BUCKET, key))

    def _check(self, keys: list[str], paths: list[str]) -> None:
        """Check the bytes: a wrong answer counts as a failure, however fast."""
        if len(paths) != len(keys):
            raise PeerFailed(f"{len(paths)} paths for {len(keys)} objects")
        for key, path in set(zip(keys, paths, strict=True)):
            if not _same(path, os.path.join(self._server.objects, BUCKET, key)):
                raise PeerFailed(f"wrong bytes in the file for {key}")

    def _uploaded(self) -> int:
        """Return the bytes that the sink has taken; 0 under the other conditions."""
        return taken(self._endpoint) if self._work.condition == "sink" else 0

    def _check_upload(self, count: int) -> None:
        expected = self._work.size * self._work.count if self._work.verb == "put" else 0
        if count < expected:
            raise PeerFailed(f"{count:,} of {expected:,} bytes were uploaded")

    def _receive(self) -> list[Answer]:
        return self._answers.new() if self._answers is not None else []

    def _note(self, row: Row, answers: list[Answer]) -> None:
        if answers:
            row.connections.append(at_once(answers))
            row.requests = {
                method: number / self._work.count for method, number in methods(answers).items()
            }


@contextmanager
def endpoints(server: Server) -> Iterator[Mapping[str, str]]:
    """Yield the endpoint for each condition; there is none for "capped" without nginx."""
    noting = server.noting
    with delayed(noting.plain if noting else server.endpoint, LATENCY) as far, sink() as uploads:
        always = {"near": server.endpoint, "far": far, "sink": uploads}
        yield always | ({"capped": noting.capped} if noting else {})


def measured(work: Work, server: Server, directory: str, environments: str) -> Record:
    """Have all peers do one work, one after the other in each round."""
    progress(f"  {work.title}: {work.rounds} rounds")
    if work.verb == "start":
        return record_starts(work, server, taking_part("start"), directory, environments)
    with endpoints(server) as endpoint:
        if work.condition not in endpoint:
            missing = f"this condition needs nginx; here was {server.name}"
            day, machine = time.strftime("%Y-%m-%d"), facts(server.name, directory)
            return Record(work.name, work.title, day, machine, {}, missing)
        return Meeting(work, server, endpoint[work.condition], directory, environments).record()


def _put_distinct(server: Server, key: str, size: int) -> None:
    """Store an object in which no MiB is like another, so that none can be in another's place."""
    noise = os.urandom(min(size, _PIECE) - 8)
    server.put(key, b"")
    with open(os.path.join(server.objects, BUCKET, key), "wb") as file:
        for number in range(-(-size // _PIECE)):
            file.write(number.to_bytes(8, "big") + noise)


def _same(path: str, original: str) -> bool:
    with open(path, "rb") as one, open(original, "rb") as two:
        while piece := two.read(_PIECE):
            if one.read(_PIECE) != piece:
                return False
        return not one.read(1)
