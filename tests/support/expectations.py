"""Keeps account of objects, rights and validations; says what a cache may answer after them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from soak import disk
from support.content import content
from support.world import Version, World, WorldServer
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


class Expectations(RuleBasedStateMachine):
    """What the two caches may answer, after all that was done so far."""

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
        """Ask and check the answer or error; return the path if there is one."""
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
        """Drop earlier validations of an object for these users, as far as this cache knows."""
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
            confirmation = Confirmation(self.clock.now, body, {name})
            self.confirmations[user, key, version_id].append(confirmation)
        elif file.outcome is Outcome.STALE:
            assert self.world.down
            assert self.may_use(name, key, body, max_age + stale)
        else:
            age = float("inf") if version is not None else max_age
            assert self.may_use(name, key, body, age, version_id), (
                f"a hit for {user}, never told so"
            )

    def may_use(self, name: str, key: str, body: bytes, age: float, version_id: str = "") -> bool:
        """Return whether S3 confirmed this content to the user less than `age` seconds ago."""
        for one in self.confirmations[self.opened[name].user, key, version_id]:
            usable = not one.revoked or name in one.remembered
            young = age == float("inf") or 0 <= self.clock.now - one.at < age
            if usable and young and one.content == body:
                one.remembered.add(name)
                return True
        return False

    def had_no_room(self, error: object, *sizes: int) -> None:
        """Check that held paths and these sizes exceed half of the quota: less would have fit."""
        self.littered = True
        held = {str(one.file): len(one.content) for one in self.all_held()}
        needed = sum(size + 8192 for size in (*held.values(), *sizes))
        assert needed > self.quota // 2, error

    def sizes_of(self, wanted: list[str]) -> list[int]:
        return [found.size for key in {*wanted} if (found := self.world.current(key)) is not None]

    def all_held(self) -> Iterator[Held]:
        for opened in self.opened.values():
            yield from opened.held
