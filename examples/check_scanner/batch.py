"""The command ``batch``: a whole backlog, on all cores or many machines.

What is under ``incoming/`` is what is still to be done, so a batch keeps no notes of its own: kill
it and start it again, and it goes on with what is left. Each upload goes through
`pipeline.process`, as in the function, which may be at work on the same bucket meanwhile.

The work is spread by Dask: over processes of this machine, or, with ``--scheduler``, over a cluster
whose workers have this package, and the settings (see `services`) in their environment. Who can
reach a Dask scheduler can run code on its workers: keep it on loopback or behind TLS.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

import tmpcache

from .errors import BusyError, SettingsError
from .handler import services
from .notify import LEASE
from .pipeline import process
from .receive import PREFIX, Upload
from .services import Settings
from .tally import BUSY, FAILED, Outcome, Tally, say

if TYPE_CHECKING:
    from distributed import Client, Future
    from mypy_boto3_s3 import S3Client

#: Uploads that the scheduler knows of at a time, per thread that works and at least: enough that no
#: worker waits, and no more memory for a million uploads than for a hundred.
_AHEAD, _FEWEST = 4, 32
#: How often a worker tries again what raised, at once; boto3 has been patient with S3 already.
_RETRIES = 2
#: Seconds between attempts at uploads whose mail somebody else is sending, or died sending.
_PAUSE = 2.0
#: Seconds to wait for the first worker of a cluster.
_PATIENCE = 60


def run_batch(bucket: str, prefix: str, scheduler: str | None, workers: int | None) -> int:
    """Process the backlog; 0 if every upload that was listed is done, 1 if one is not."""
    tally = Tally()
    try:
        if scheduler is None:  # a cluster's workers have settings of their own
            Settings.from_environment()
        uploads = backlog(boto3.client("s3"), bucket, prefix)
        with _cluster(scheduler, workers) as client:
            _begin(client)
            _account(client, uploads, tally)
    except (SettingsError, BotoCoreError, ClientError) as error:
        raise SystemExit(f"The batch ended: {error}") from error
    return 1 if tally.counts[FAILED] or tally.missing else 0


def backlog(s3: "S3Client", bucket: str, prefix: str) -> Iterator[Upload]:
    """List what is under ``prefix``, a page at a time, as it is asked for."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for thing in page.get("Contents", ()):
            if thing["Key"] != PREFIX:  # what consoles make of a folder
                yield Upload(bucket, thing["Key"], thing["ETag"].strip('"'), thing["Size"])


def run(client: "Client", uploads: Iterable[Upload], tally: Tally) -> None:
    """Have all uploads processed and entered in ``tally``.

    An upload whose mail is just being sent is tried again until whoever sends it is done, or must
    be dead. What this run decides is not what was decided before it, however often a task is run.
    """
    this = uuid4().hex
    busy = list(_round(client, _counted(uploads, tally), tally, this, 0))
    deadline = time.monotonic() + LEASE + _PAUSE
    attempt = 0
    while busy and time.monotonic() < deadline:
        time.sleep(_PAUSE)
        attempt += 1
        busy = list(_round(client, busy, tally, this, attempt))
    for upload in busy:
        tally.add(upload, Outcome(FAILED, reason="another process keeps sending its mail."))


def _account(client: "Client", uploads: Iterable[Upload], tally: Tally) -> None:
    """Run, and print the account, however that ends."""
    try:
        with tally.shown():
            run(client, uploads, tally)
    except KeyboardInterrupt:
        say("Interrupted; start again to go on with what is left.")
    finally:
        Console().print(tally.table())


def _begin(client: "Client") -> None:
    """See to it that there are workers, and that they can work."""
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
        client.run(ready)
    except Exception as error:
        raise SystemExit(f"Nothing was begun: {type(error).__name__}: {error}") from error


def ready() -> None:
    """Raise on a worker whatever would make every upload fail: a setting, or the model, amiss."""
    services().reader()


def work(upload: Upload, by: str) -> Outcome:
    """Process one upload on a worker, for the run ``by``; what is worth another try is raised."""
    with tmpcache.invocation():
        try:
            result = process(upload, services(), by)
        except BusyError as error:
            return Outcome(BUSY, reason=str(error))
    return Outcome(result.decision.value, result.repeated)


def _counted(uploads: Iterable[Upload], tally: Tally) -> Iterator[Upload]:
    for upload in uploads:
        tally.listed += 1
        yield upload


def _round(
    client: "Client", uploads: Iterable[Upload], tally: Tally, by: str, attempt: int
) -> Iterator[Upload]:
    """Submit uploads as others get done, enter what became of them; yields those that are busy."""
    from distributed import as_completed

    waiting = iter(uploads)
    window = max(_FEWEST, _AHEAD * sum(client.nthreads().values()))
    asked: dict[str, Upload] = {}

    def submit(count: int) -> "list[Future[Outcome]]":
        some = list(islice(waiting, count))
        keys = [f"check-{by}-{upload.id}-{attempt}" for upload in some]
        asked.update(zip(keys, some, strict=True))
        futures: list[Future[Outcome]] = client.map(work, some, by=by, key=keys, retries=_RETRIES)
        return futures

    under_way = as_completed(submit(window))
    for finished in under_way.batches():
        for future in finished:
            upload, outcome = asked.pop(future.key), _outcome(future)
            if outcome.state == BUSY:
                yield upload
            else:
                tally.add(upload, outcome)
        under_way.update(submit(len(finished)))


def _outcome(future: "Future[Outcome]") -> Outcome:
    """What a future that is done says, or why it says nothing.

    A worker that dies costs nothing but time, for the scheduler gives its uploads to others; an
    upload that four workers died of is a failure.
    """
    if future.cancelled():
        return Outcome(FAILED, reason="the scheduler was lost.")
    error = future.exception()
    if error is not None:
        return Outcome(FAILED, reason=f"{type(error).__name__}: {error}")
    outcome: Outcome = future.result()
    return outcome


@contextmanager
def _cluster(scheduler: str | None, workers: int | None) -> "Iterator[Client]":
    """Connect to a scheduler; without one, start one and its workers on this machine."""
    try:
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        raise SystemExit("A batch needs Dask: pip install 'tmpcache[batch]'.") from error

    if scheduler:
        with Client(scheduler) as client:
            yield client
        return
    # One thread each: reading a check is arithmetic that holds Python's lock.
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
