"""After a round: a new process finds a store that just works, with nothing left over."""

from __future__ import annotations

import glob
import os
import signal
import time

from tmpcache import Cache

from . import contents, disk
from .contents import BUCKET, key_of
from .judge import Asked, Judge
from .worker import Place

#: Seconds that it may take.
_TIME_LIMIT = 60.0


def check(place: Place, judge: Judge) -> None:
    """Look at the store in a process of its own, as the auditor, with an honest server."""
    pid = os.fork()
    if pid == 0:
        try:
            os.environ["AWS_ACCESS_KEY_ID"] = contents.AUDITOR
            signal.alarm(int(_TIME_LIMIT))
            _check(place, judge)
        except BaseException as error:
            judge.report("P5", f"a new process fails afterwards: {error!r}"[:500], error)
        finally:
            os._exit(0)
    status = os.waitpid(pid, 0)[1]
    if code := os.waitstatus_to_exitcode(status):
        judge.report("P5", f"a new process ended with {code} afterwards")


def _check(place: Place, judge: Judge) -> None:
    with Cache(place.root, quota=place.quota) as cache:
        _use(cache, judge)
        for digest, reason in cache.verify().damaged:
            if reason != "missing":  # a cleaner may have taken the file
                judge.report("P10", f"{digest} is {reason} afterwards")
        cache.gc()
        _look_for_leftovers(place, judge)
        _compare(cache, place, judge)
        cache.clear()
        cache.make_room(place.quota // 2)
        _use(cache, judge)


def _use(cache: Cache, judge: Judge) -> None:
    for key in [key_of("mid", number) for number in range(5)] + [key_of("tiny", 7)]:
        for max_age in (0.0, 60.0):
            asked = Asked(contents.AUDITOR, time.time(), max_age)
            with cache.fetch(BUCKET, key, max_age=max_age) as file:
                judge.answered(file, asked)


def _look_for_leftovers(place: Place, judge: Judge) -> None:
    for directory, most in (("partial", 0), ("sessions", 1), ("scratch", 0)):
        found = glob.glob(f"{place.root}/**/{directory}/*", recursive=True)
        if len(found) > most:
            judge.report("P5", f"{len(found)} left over in {directory}/ after gc(): {found[:5]}")


def _compare(cache: Cache, place: Place, judge: Judge) -> None:
    """Compare `usage()` with the disk.

    ext4 may count a block less than the ledger for a file that was written in several places.
    """
    usage, found = cache.usage(), disk.allocated(place.root)
    over = usage.used - sum(found.values())
    if usage.reserved or not 0 <= over <= 4096 * usage.blobs or usage.used > usage.quota:
        judge.report("P3", f"usage() is {usage}, on disk are {found}")
