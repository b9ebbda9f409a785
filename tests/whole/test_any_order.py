"""A model of the whole cache: whatever is done in whatever order, it answers as the model allows.

Hypothesis draws the steps. Two caches share a root, as two processes would; a clock is turned by
hand; objects, rights and files change between any two steps. `TMPCACHE_MODEL_EXAMPLES=2000` in the
environment makes the run as long as one likes, and has what fails reduced to the steps it takes.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from support.expectations import BUCKET, USERS
from support.model import Model, caches, keys, numbers
from support.world import WorldServer

_EXAMPLES = int(os.environ.get("TMPCACHE_MODEL_EXAMPLES", "0"))
_SETTINGS = settings(
    deadline=None,
    database=None,
    derandomize=not _EXAMPLES,
    max_examples=_EXAMPLES or 15,
    stateful_step_count=60 if _EXAMPLES else 30,
    phases=[Phase.generate, Phase.shrink] if _EXAMPLES else [Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class DamagedModel(Model):
    """The same, while files of the store are damaged and taken away."""

    @rule(
        name=caches,
        key=keys,
        how=st.sampled_from(("truncate", "append", "overwrite", "delete", "replace")),
    )
    def damage_a_copy(self, name: str, key: str, how: str) -> None:
        cache = self.opened[name].cache
        file = self.answered(name, key, lambda: cache.fetch(BUCKET, key, max_age=1e9), 1e9)
        if file is None:
            return
        for opened in self.opened.values():
            opened.held = [one for one in opened.held if str(one.file) != str(file)]
        path = Path(str(file))
        file.release()
        _damage(path, how)
        self.damaged = True

    @rule(seed=numbers, size=st.sampled_from((1, 16, 5000)))
    def garbage_in_the_index(self, seed: int, size: int) -> None:
        pick = random.Random(seed)
        for path in sorted(self.root.glob("**/index.sqlite")):
            with open(path, "r+b") as file:
                file.seek(pick.randrange(max(1, path.stat().st_size)))
                file.write(pick.randbytes(size))
        self.damaged = True

    @rule(with_log=st.booleans())
    def delete_the_index(self, with_log: bool) -> None:
        for path in self.root.glob("**/index.sqlite*" if with_log else "**/index.sqlite"):
            path.unlink(missing_ok=True)
        self.damaged = True

    @rule()
    def delete_the_sessions(self) -> None:
        for path in self.root.glob("**/sessions/*"):
            path.unlink(missing_ok=True)

    @rule()
    def delete_the_count_of_changes(self) -> None:
        for path in self.root.glob("**/changes"):
            path.unlink(missing_ok=True)


def _damage(path: Path, how: str) -> None:
    if how == "delete":
        path.unlink()
        return
    if how == "replace":
        path.unlink()
        path.write_bytes(b"something else")
        return
    path.chmod(0o600)
    before = path.stat()
    with open(path, "r+b") as file:
        if how == "truncate":
            file.truncate(before.st_size // 2)
        elif how == "append":
            file.seek(0, os.SEEK_END)
            file.write(b"more")
        else:
            file.write(bytes(min(before.st_size, 100)))
    path.chmod(0o444)
    later = before.st_mtime_ns + 1_000_000_000  # not within a tick of the clock
    os.utime(path, ns=(later, later))


@pytest.fixture(scope="module")
def server() -> Iterator[WorldServer]:
    server = WorldServer(USERS)
    yield server
    server.stop()


# A child that is forked while the server's thread runs uses none of that thread's locks.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("machine", [Model, DamagedModel])
def test_whatever_is_done_in_whatever_order(
    machine: type[Model], server: WorldServer, tmp_path: Path
) -> None:
    machine.server = server
    run_machine(machine, settings=_SETTINGS)
