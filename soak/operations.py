"""What a worker does with the cache. Each operation checks what it is answered."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable

from tmpcache import CachedFile
from tmpcache.errors import FetchManyError

from . import contents
from .contents import BUCKET, KINDS, key_of
from .worker import Worker

_MIB = 1 << 20
#: How often objects of a kind are asked for; the large ones only where the quota has room for them.
_WEIGHTS = {"tiny": 8, "same": 3, "mid": 4, "gone": 1, "odd": 1, "put": 1, "large": 1, "huge": 0.3}


def _key(worker: Worker) -> str:
    """Return a key, more often than not one of the few that are asked for again and again."""
    weights = dict(_WEIGHTS)
    if worker.place.quota < 4 * _MIB:
        weights |= {"large": 0.05, "huge": 0.01}
    elif worker.place.quota < 100 * _MIB:
        weights |= {"huge": 0.05}
    kind = worker.dice.choices(list(weights), list(weights.values()))[0]
    count = KINDS[kind].count
    number = worker.dice.randrange(count)
    return key_of(kind, number if worker.dice.random() < 0.5 else number % 7 % count)


def fetch_present(worker: Worker) -> None:
    """Fetch the present version."""
    asked = worker.asked()
    worker.answered(worker.cache.fetch(BUCKET, _key(worker)), asked)


def fetch_aged(worker: Worker) -> None:
    """Fetch the same few objects, which may be some seconds old: mostly hits."""
    key, max_age = key_of("mid", worker.dice.randrange(8)), worker.dice.choice([1.0, 5.0])
    for _ in range(10):
        asked = worker.asked(max_age)
        worker.answered(worker.cache.fetch(BUCKET, key, max_age=max_age), asked)


def fetch_stale(worker: Worker) -> None:
    """Fetch an object that may be older still if the server fails."""
    asked = worker.asked(1)
    key = _key(worker)
    worker.answered(worker.cache.fetch(BUCKET, key, max_age=1, stale_if_error=60), asked)


def fetch_version(worker: Worker) -> None:
    """Fetch a version that may be the present one, or one of the last."""
    key = key_of("mid", worker.dice.randrange(20))
    version = f"v{contents.version_at(key, time.time()) - worker.dice.randrange(3)}"
    asked = worker.asked(version_id=version)
    worker.answered(worker.cache.fetch(BUCKET, key, version_id=version), asked)


def fetch_many(worker: Worker) -> None:
    """Fetch several objects at once; check what arrived even if others failed."""
    keys, max_age = [_key(worker) for _ in range(worker.dice.randrange(1, 40))], 2.0
    asked, threads = worker.asked(max_age), worker.dice.choice([1, 4, 16])
    try:
        files = worker.cache.fetch_many(
            BUCKET, keys, max_age=max_age, threads=threads, progress=_progress(worker)
        )
    except FetchManyError as error:
        worker.judge.raised(error)
        files = [file for file in error.results if file is not None]
    for file in files:
        worker.answered(file, asked)


def fetch_prefix(worker: Worker) -> None:
    """Fetch a part of the bucket, as a tree of links in a scratch directory."""
    prefix = worker.dice.choice(["tiny/00", "tiny/21", "same/", "mid/001", "gone/", "odd/", "put/"])
    asked = worker.asked()
    with worker.cache.scratch() as work:
        tree = worker.cache.fetch_prefix(
            BUCKET, prefix, into=work, return_exceptions=True, progress=_progress(worker)
        )
        answers: list[CachedFile | Exception] = list(tree.values())
        for found in answers:
            if isinstance(found, CachedFile):
                worker.answered(found, asked)
            else:
                worker.judge.raised(found)


def load(worker: Worker) -> None:
    """Load an object; here, its bytes."""
    key = key_of("mid", worker.dice.randrange(8))
    etag, body = worker.cache.load(BUCKET, key, _identity, max_age=1)
    if contents.is_denied(worker.access_key, key):
        worker.judge.report("P8", f"{key} was loaded for {worker.access_key}, whom S3 denies it")
    version = contents.version_of(etag)
    if version is None or body != contents.body_of(key, version):
        worker.judge.report("P1", f"{key} was loaded as {contents.first_line(body)!r}, ETag {etag}")


def _identity(file: CachedFile) -> tuple[str, bytes]:
    return file.etag, file.read_bytes()


def put(worker: Worker) -> None:
    """Put a new version, from memory or from a file."""
    key = key_of("put", worker.dice.randrange(KINDS["put"].count))
    version = worker.dice.randrange(1 << 40)
    body, asked = contents.body_of(key, version), worker.asked(version_id=f"v{version}")
    source = body if worker.dice.random() < 0.5 else io.BytesIO(body)
    worker.answered(worker.cache.put(BUCKET, key, source), asked)


def scratch(worker: Worker) -> None:
    """Use a scratch directory: objects, own files, and links that lead out of the root."""
    asked = worker.asked()
    with worker.cache.scratch() as work:
        os.symlink(worker.place.outside, work / "directory")
        os.symlink(os.path.join(worker.place.outside, "file"), work / "file")
        os.mkdir(work / "deep", 0o500)
        for _ in range(worker.dice.randrange(4)):
            file = work.fetch(BUCKET, _key(worker), writable=worker.dice.random() < 0.3)
            worker.judge.answered(file, asked)
        work.reserve(worker.dice.randrange(worker.place.quota // 10))
        (work / "own").write_bytes(bytes(worker.dice.randrange(100_000)))


def evict(worker: Worker) -> None:
    """Evict one object, now and then all."""
    key = _key(worker) if worker.dice.random() < 0.95 else None
    worker.cache.evict(BUCKET, key, whole_bucket=key is None)


def clear(worker: Worker) -> None:
    """Evict everything."""
    worker.cache.clear()


def collect(worker: Worker) -> None:
    """Reclaim what dead processes left, or make room."""
    if worker.dice.random() < 0.5:
        worker.cache.gc()
    else:
        worker.cache.make_room(worker.dice.randrange(worker.place.quota // 4))


def look(worker: Worker) -> None:
    """Check reports; the files in them may be gone meanwhile."""
    usage = worker.cache.usage()
    if usage.used > usage.quota:
        worker.judge.report("P3", f"usage() says {usage.used} of {usage.quota} bytes")
    for entry in worker.cache.entries():
        if entry.etag != contents.etag_of(entry.key, contents.version_of(entry.etag) or 0):
            worker.judge.report("P2", f"entries() says that {entry.key} has {entry.etag}")


def verify(worker: Worker) -> None:
    """Hash everything; files that a cleaner took may be missing, none may be wrong."""
    for digest, reason in worker.cache.verify().damaged:
        if reason != "missing":
            worker.judge.report("P10", f"verify() found {digest} {reason}")


def invocation(worker: Worker) -> None:
    """Fetch twice within an invocation, which asks once and releases everything at its end."""
    with worker.cache.invocation():
        key, asked = _key(worker), worker.asked()
        first = worker.cache.fetch(BUCKET, key)
        worker.judge.answered(first, asked)
        worker.judge.answered(worker.cache.fetch(BUCKET, key), asked)
        worker.judge.whole(first, first)


def warm(worker: Worker) -> None:
    """Warm the cache by its own manifest."""
    manifest = worker.cache.manifest()
    worker.cache.warm(manifest, max_bytes=worker.place.quota // 4, max_seconds=2)


def rotate(worker: Worker) -> None:
    """Open a new cache with other credentials; paths of the old one stay good."""
    if worker.dice.random() < 0.5:
        worker.finish()
    worker.cache.close()
    worker.cache = worker.open()


def fork(worker: Worker) -> None:
    """Fork a child that uses the paths it inherited, and the cache."""
    worker.disarm()
    pid = os.fork()
    if pid:
        worker.board.set(worker.slot, "child", pid)
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            time.sleep(0.002)
        worker.board.set(worker.slot, "child", 0)
        return
    worker.board.set(worker.slot, "child", os.getpid())
    try:
        for file, _ in worker.held:
            worker.judge.whole(file, file)
        fetch_present(worker)
    except Exception as error:
        worker.judge.raised(error)
    finally:
        os._exit(0)


def _progress(worker: Worker) -> Callable[[int, int, int], None]:
    return lambda done, objects, received: worker.board.beat(worker.slot)


OPERATIONS: dict[Callable[[Worker], None], float] = {
    **{fetch_present: 30, fetch_aged: 15, fetch_stale: 6, fetch_version: 6},
    **{fetch_many: 6, fetch_prefix: 3},
    **{load: 5, put: 5, scratch: 5, evict: 4, clear: 0.3, collect: 1.5, look: 1, verify: 0.3},
    **{invocation: 2, warm: 0.5, rotate: 2, fork: 1},
}
