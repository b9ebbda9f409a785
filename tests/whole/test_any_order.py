"""A model of the whole cache: whatever is done in whatever order, it answers as the model allows.

Hypothesis draws the steps. Two caches share a root, as two processes would; a clock is turned by
hand; objects, rights and files change between any two steps. `TMPCACHE_MODEL_EXAMPLES=2000` in the
environment makes the run as long as one likes, and has what fails reduced to the steps it takes.
"""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from support.anywhere import forked, strike_at
from support.content import content
from support.world import TINY, Version, World, WorldServer

from soak import disk
from tmpcache import Cache, CachedFile, Outcome
from tmpcache.errors import (
    AccessDeniedError,
    ObjectNotFoundError,
    OriginError,
    OriginUnavailableError,
    QuotaExceededError,
)
from tmpcache.testing import Clock

MIB = 1 << 20
BUCKET = "model"
USERS = ("AKIAONE", "AKIATWO", "AKIATHREE")
KEYS = ("k/a", "k/b.npz", "k/deep/c.tar.gz", "k/ä d", "other")
SIZES = (0, 1, 99, 5_000, 90_000, 300_000, 700_000)
CONTENTS = {size: content("model", size) for size in SIZES}

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

caches = st.sampled_from(("first", "second"))
users = st.sampled_from(USERS)
keys = st.sampled_from(KEYS)
sizes = st.sampled_from(SIZES)
#: Drawn whatever there is to choose from, so that the steps are the same in every run.
numbers = st.integers(0, 1_000)
ages = st.sampled_from((0, 0, 10, 100))


@dataclass
class Confirmation:
    """At a time, S3 gave or confirmed a content to a user."""

    at: float
    content: bytes
    #: Caches that may remember it without asking the index.
    remembered: set[str]
    #: Whether the user was refused the object since.
    revoked: bool = False


@dataclass
class Held:
    """A path that must stay, with these bytes."""

    file: CachedFile
    content: bytes


@dataclass
class Opened:
    """A cache, and who asks through it."""

    cache: Cache
    user: str
    held: list[Held] = field(default_factory=list)


class Model(RuleBasedStateMachine):
    """What may be done to a cache that nobody damages."""

    server: WorldServer

    @initialize(quota=st.sampled_from((MIB, 2 * MIB, 8 * MIB)))
    def begin(self, quota: int) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="tmpcache-model-"))
        self.outside = self.base / "outside"
        disk.make_outside(str(self.outside))
        self.outside_as_it_was = disk.fingerprint(str(self.outside))
        self.root, self.quota, self.clock = self.base / "cache", quota, Clock(1_800_000_000)
        self.world = self.server.world = World()
        self.damaged = self.littered = False
        #: By user, key, and the version that was asked for: s3:GetObjectVersion is another right.
        self.confirmations: dict[tuple[str, str, str], list[Confirmation]] = defaultdict(list)
        self.opened = {name: self.open(USERS[0]) for name in ("first", "second")}
        for key, size in zip(KEYS, SIZES[2:], strict=True):
            self.world.change(key, CONTENTS[size])

    def open(self, user: str) -> Opened:
        client = self.server.clients[user]
        return Opened(Cache(self.root, quota=self.quota, client=client, clock=self.clock), user)

    def teardown(self) -> None:
        for one in self.opened.values():
            one.held.clear()
            one.cache.close()
        shutil.rmtree(self.base / "cache", ignore_errors=True)
        os.chmod(self.outside / "deep" / "er", 0o700)
        shutil.rmtree(self.base)

    # ---- what an answer may be ---------------------------------------------------------------

    def answered(
        self,
        name: str,
        key: str,
        ask: Callable[[], CachedFile],
        max_age: float = 0,
        stale: float = 0,
        version: Version | None = None,
    ) -> CachedFile | None:
        """Ask, and check the answer, also if it is an error; the path if there is one."""
        try:
            file = ask()
        except OriginError as error:
            self.refused(name, key, error, version)
        except QuotaExceededError as error:
            wanted = version or self.world.current(key)
            self.had_no_room(error, 0 if wanted is None else wanted.size)
        else:
            self.accepted(name, key, file, max_age, stale, version)
            return file
        return None

    def refused(self, name: str, key: str, error: Exception, version: Version | None) -> None:
        self.littered = True
        user = self.opened[name].user
        if isinstance(error, AccessDeniedError):
            assert (user, key) in self.world.denied
            self.revoke([user], name, key, "" if version is None else version.version_id)
        elif isinstance(error, ObjectNotFoundError):
            assert self.world.current(key) is None
            assert version is None
            self.revoke(USERS, name, key)
        else:
            assert isinstance(error, OriginUnavailableError), error
            assert self.world.down, error

    def revoke(
        self, whose: tuple[str, ...] | list[str], name: str, key: str, version_id: str = ""
    ) -> None:
        """What these users were told of an object before counts no more, as this cache knows."""
        for user in whose:
            for one in self.confirmations[user, key, version_id]:
                one.revoked = True
                one.remembered.discard(name)

    def accepted(
        self,
        name: str,
        key: str,
        file: CachedFile,
        max_age: float,
        stale: float,
        version: Version | None,
        *,
        listed: bool = False,
    ) -> None:
        user, body = self.opened[name].user, file.read_bytes()
        version_id = "" if version is None else version.version_id
        denied, current = (user, key) in self.world.denied, self.world.current(key)
        assert file.key == key
        assert file.size == len(body)
        assert file.etag == Version(0, body).etag
        if version is not None:
            assert body == version.content
        if file.outcome in (Outcome.FETCHED, Outcome.REVALIDATED):
            assert not self.world.down
            assert version is not None or (current is not None and body == current.content)
            told_before = listed and self.may_use(name, key, body, float("inf"))
            assert not denied or told_before, f"{file.outcome} for {user}, who is denied {key}"
            told = Confirmation(self.clock.now, body, {name})
            self.confirmations[user, key, version_id].append(told)
        elif file.outcome is Outcome.STALE:
            assert self.world.down
            assert self.may_use(name, key, body, max_age + stale)
        else:
            age = float("inf") if version is not None else max_age
            assert self.may_use(name, key, body, age, version_id), (
                f"a hit for {user}, never told so"
            )

    def may_use(self, name: str, key: str, body: bytes, age: float, version_id: str = "") -> bool:
        """Whether this user was told less than `age` seconds ago that this is the object."""
        for one in self.confirmations[self.opened[name].user, key, version_id]:
            usable = not one.revoked or name in one.remembered
            young = age == float("inf") or 0 <= self.clock.now - one.at < age
            if usable and young and one.content == body:
                one.remembered.add(name)
                return True
        return False

    def had_no_room(self, error: object, *sizes: int) -> None:
        """Half of the quota is enough for the index and the rest: there must be room for these."""
        self.littered = True
        held = {str(one.file): len(one.content) for one in self.all_held()}
        needed = sum(size + 8192 for size in (*held.values(), *sizes))
        assert needed > self.quota // 2, error

    def sizes_of(self, wanted: list[str]) -> list[int]:
        return [found.size for key in {*wanted} if (found := self.world.current(key)) is not None]

    def all_held(self) -> Iterator[Held]:
        for opened in self.opened.values():
            yield from opened.held

    # ---- rules: the world --------------------------------------------------------------------

    @rule(key=keys, size=sizes)
    def overwrite_at_the_server(self, key: str, size: int) -> None:
        self.world.change(key, CONTENTS[size])

    @rule(key=keys)
    def delete_at_the_server(self, key: str) -> None:
        self.world.change(key, None)

    @rule(user=users, key=keys)
    def deny_or_allow(self, user: str, key: str) -> None:
        self.world.denied ^= {(user, key)}

    @rule()
    def break_or_mend_the_server(self) -> None:
        self.world.down = not self.world.down

    @rule(seconds=st.sampled_from((1, 9, 10, 60, 1000, -1, -50)))
    def turn_the_clock(self, seconds: int) -> None:
        self.clock.advance(seconds)

    # ---- rules: the verbs --------------------------------------------------------------------

    @rule(name=caches, key=keys, max_age=ages, stale=ages, hold=st.booleans())
    def fetch(self, name: str, key: str, max_age: int, stale: int, hold: bool) -> None:
        cache = self.opened[name].cache
        file = self.answered(
            name,
            key,
            lambda: cache.fetch(BUCKET, key, max_age=max_age, stale_if_error=stale),
            max_age,
            stale,
        )
        if hold and file is not None:
            self.opened[name].held.append(Held(file, file.read_bytes()))

    @rule(name=caches, key=keys, number=numbers)
    def fetch_version(self, name: str, key: str, number: int) -> None:
        there = [version for version in self.world.history[key] if version is not None]
        if there:
            version = there[number % len(there)]
            self.answered(
                name,
                key,
                lambda: self.opened[name].cache.fetch(BUCKET, key, version_id=version.version_id),
                version=version,
            )

    @rule(name=caches, wanted=st.lists(keys, min_size=1, max_size=6), max_age=ages)
    def fetch_many(self, name: str, wanted: list[str], max_age: int) -> None:
        answers: list[CachedFile | Exception] = []
        answers += self.opened[name].cache.fetch_many(
            BUCKET, wanted, max_age=max_age, threads=3, return_exceptions=True
        )
        first: dict[str, CachedFile] = {}
        for key, answer in zip(wanted, answers, strict=True):
            if key in first and isinstance(answer, CachedFile):
                assert str(answer) == str(first[key])  # asked once for all
            elif isinstance(answer, QuotaExceededError):
                self.had_no_room(answer, *self.sizes_of(wanted))
            else:
                file = self.answered(name, key, lambda answer=answer: _given(answer), max_age)  # type: ignore[misc]
                if file is not None:
                    first[key] = file

    @rule(name=caches, start=st.integers(0, 120))
    def fetch_many_tiny(self, name: str, start: int) -> None:
        if self.world.down:
            return
        wanted = [f"{TINY}{number}" for number in range(20 * start, 20 * start + 20)]
        try:
            files = self.opened[name].cache.fetch_many(BUCKET, wanted, max_age=1e9, threads=3)
        except* QuotaExceededError as error:
            self.had_no_room(error, *self.sizes_of(wanted))
        else:
            assert [file.read_bytes().decode() for file in files] == wanted

    @rule(name=caches, linked=st.booleans())
    def fetch_prefix(self, name: str, linked: bool) -> None:
        cache = self.opened[name].cache
        with cache.scratch() as work:
            try:
                tree = cache.fetch_prefix(
                    BUCKET, "k/", into=work if linked else None, return_exceptions=True
                )
            except OriginUnavailableError:
                assert self.world.down
                return
            there = [key for key in KEYS if key.startswith("k/") and self.world.current(key)]
            assert sorted(tree) == sorted(there)
            for key in there:
                answer: CachedFile | Exception = tree[key]
                if isinstance(answer, CachedFile):
                    self.accepted(name, key, answer, 0, 0, None, listed=True)
                    if linked:
                        assert (work / key[2:]).samefile(answer)
                elif isinstance(answer, QuotaExceededError):
                    self.had_no_room(answer, *self.sizes_of(there))
                else:
                    self.refused(name, key, answer, None)

    @rule(name=caches, key=keys, size=sizes, hold=st.booleans())
    def put(self, name: str, key: str, size: int, hold: bool) -> None:
        opened, body = self.opened[name], CONTENTS[size]
        try:
            file = opened.cache.put(BUCKET, key, body)
        except AccessDeniedError:
            assert (opened.user, key) in self.world.denied
            return
        except OriginUnavailableError:
            assert self.world.down
            return
        except QuotaExceededError as error:
            self.had_no_room(error, len(body))
            return
        current = self.world.current(key)
        assert current is not None
        assert file.read_bytes() == body == current.content
        assert file.etag == current.etag
        told = Confirmation(self.clock.now, body, {name})
        self.confirmations[opened.user, key, ""].append(told)
        if hold:
            opened.held.append(Held(file, body))

    @rule(name=caches, key=keys, writable=st.booleans())
    def scratch(self, name: str, key: str, writable: bool) -> None:
        with self.opened[name].cache.scratch() as work:
            (work / "out").symlink_to(self.outside)
            (work / "own").write_bytes(b"own")
            file = self.answered(name, key, lambda: work.fetch(BUCKET, key, writable=writable))
            if file is not None:
                assert file.parent == Path(work)
        assert not work.exists()
        assert disk.fingerprint(str(self.outside)) == self.outside_as_it_was

    # ---- rules: the store --------------------------------------------------------------------

    @rule(name=caches, number=numbers)
    def release(self, name: str, number: int) -> None:
        held = self.opened[name].held
        if held:
            del held[number % len(held)]

    @rule(name=caches, key=st.none() | keys)
    def evict(self, name: str, key: str | None) -> None:
        self.opened[name].cache.evict(BUCKET, key)

    @rule(name=caches)
    def clear(self, name: str) -> None:
        self.opened[name].cache.clear()
        assert list(self.opened[name].cache.entries()) == []

    @rule(name=caches)
    def collect(self, name: str) -> None:
        self.opened[name].cache.gc()
        assert self.opened[name].cache.usage().reserved == 0
        assert list(self.root.glob("**/partial/*")) == []

    @rule(name=caches)
    def verify(self, name: str) -> None:
        found = self.opened[name].cache.verify().damaged
        assert self.damaged or found == (), found
        self.damaged = False

    @rule(name=caches)
    def look(self, name: str) -> None:
        """entries() and usage() agree with what is on disk."""
        usage = self.opened[name].cache.usage()
        used = sum(disk.allocated(str(self.root)).values())
        slack = 4096 * usage.blobs + usage.reserved  # for what was killed, until it is collected
        assert self.damaged or 0 <= usage.used - used <= slack, (usage, used)
        for entry in self.opened[name].cache.entries():
            if not self.damaged:
                body = entry.path.read_bytes()
                assert entry.size == len(body)
                assert entry.etag == Version(0, body).etag

    @rule(name=caches, user=users)
    def reopen(self, name: str, user: str) -> None:
        """Another cache, with the same credentials or others; paths of the old one stay."""
        before = self.opened[name]
        before.cache.close()
        self.opened[name] = self.open(user)
        self.opened[name].held = before.held

    @rule(quota=st.sampled_from((MIB, 2 * MIB, 8 * MIB)))
    def change_the_quota(self, quota: int) -> None:
        """Close all, and go on with another quota: there is room at once for something small."""
        self.quota = quota
        for name, before in list(self.opened.items()):
            before.held.clear()
            before.cache.close()
            self.opened[name] = self.open(before.user)
        self.opened["first"].cache.make_room(100_000)

    # ---- rules: processes --------------------------------------------------------------------

    @rule(name=caches, key=keys)
    def fork(self, name: str, key: str) -> None:
        """A child finds what it inherited, and fetches for itself."""

        def child() -> None:
            for held in self.all_held():
                assert held.file.read_bytes() == held.content
            self.fetch(name, key, 0, 0, True)

        assert forked(child) == 0
        self.maybe_told(name, key)

    @rule(
        name=caches,
        key=keys,
        size=sizes,
        line=st.integers(1, 1500),
        what=st.sampled_from(("fetch", "put", "evict", "fetch_many", "clear", "gc")),
        fresh=st.booleans(),
    )
    def crash(self, name: str, key: str, size: int, line: int, what: str, fresh: bool) -> None:
        """A child is killed somewhere in the middle of something."""

        def child() -> None:
            opened = self.opened[name]
            if fresh:
                self.server.clients[opened.user].close()  # its connections are the parent's, too
                opened = self.open(opened.user)
            strike_at(line, lambda: os.kill(os.getpid(), signal.SIGKILL))
            _attempt(opened.cache, what, key, CONTENTS[size])

        assert forked(child) in (0, -signal.SIGKILL)
        for one in KEYS if what == "fetch_many" else (key,):
            self.maybe_told(name, one)

    def maybe_told(self, name: str, key: str) -> None:
        """What a child may have heard for this user, whatever became of it."""
        user, current = self.opened[name].user, self.world.current(key)
        if current is not None and (user, key) not in self.world.denied and not self.world.down:
            told = Confirmation(self.clock.now, current.content, set())
            self.confirmations[user, key, ""].append(told)

    # ---- always ------------------------------------------------------------------------------

    @invariant()
    def errors_are_let_go_of(self) -> None:
        """The traceback of an error keeps the paths of its call, and their leases, until then."""
        if self.littered:
            gc.collect()
            self.littered = False

    @invariant()
    def what_is_held_stays(self) -> None:
        for held in self.all_held():
            assert held.file.read_bytes() == held.content

    @invariant()
    def the_quota_holds(self) -> None:
        found = disk.allocated(str(self.root))
        assert sum(found.values()) <= self.quota, found


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


def _given(answer: CachedFile | Exception) -> CachedFile:
    if isinstance(answer, CachedFile):
        return answer
    raise answer


def _attempt(cache: Cache, what: str, key: str, body: bytes) -> None:
    try:
        if what == "fetch":
            cache.fetch(BUCKET, key)
        elif what == "put":
            cache.put(BUCKET, key, body)
        elif what == "evict":
            cache.evict(BUCKET, key)
        elif what == "fetch_many":
            cache.fetch_many(BUCKET, KEYS, threads=2, return_exceptions=True)
        elif what == "clear":
            cache.clear()
        else:
            cache.gc()
    except (OriginError, QuotaExceededError):
        return


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
