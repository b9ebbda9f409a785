"""A function for Lambda that does what its event says, and how to see that it runs.

`deploy` and `mark` are fixtures of tests/whole.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil

from support.processes import wait_until
from tmpcache.testing import LambdaHarness

APP = """
import logging, os, subprocess, sys, threading, time
import tmpcache

TICK = [sys.executable, "-c", "import app, sys; app.tick(sys.argv[1])"]
print("initialised")
served = 0

def fetch(event, context):
    global served
    served += 1
    path = tmpcache.fetch("models", "e13b.npz", max_age=60)
    return {
        "served": served, "pid": os.getpid(), "outcome": path.outcome.name, "size": path.size,
        "request_id": context.aws_request_id, "remaining": context.get_remaining_time_in_millis(),
    }

def obey(event, context):
    print("told", *event)
    match event:
        case ["raise", text]:
            raise ValueError(text)
        case ["exit", status]:
            sys.exit(status)
        case ["return", value]:
            return value
        case ["bytes"]:
            return b"\\xff\\x00"
        case ["log", text]:
            logging.getLogger().error(text)
        case ["hang", mark]:
            open(mark, "w").close()
            time.sleep(600)
        case ["tick", mark]:
            threading.Thread(target=tick, args=(mark,), daemon=True).start()
        case ["child", mark]:
            return subprocess.Popen([*TICK, mark], start_new_session=True).pid
        case ["orphan", mark]:
            script = ["sh", "-c", '"$@" >/dev/null & echo $!', "sh"]
            return int(subprocess.check_output([*script, *TICK, mark]))
    return os.getpid()

def tick(mark):
    with open(mark, "ab", buffering=0) as file:
        while True:
            file.write(b"x")
            time.sleep(0.001)
"""

#: Makes a harness for one of the functions above.
Deploy = Callable[..., LambdaHarness]


def ticks(mark: Path) -> int:
    return mark.stat().st_size if mark.exists() else 0


def wait_for_a_tick(mark: Path) -> None:
    seen = ticks(mark)
    wait_until(lambda: ticks(mark) > seen)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
