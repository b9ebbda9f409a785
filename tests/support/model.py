"""Steps that may be taken with two caches on one root, for Hypothesis to draw in any order."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from soak import disk
from support.anywhere import forked, strike_at
from support.expectations import (
    BUCKET,
    CONTENTS,
    KEYS,
    MIB,
    SIZES,
    USERS,
    Confirmation,
    Expectations,
    Held,
)
from support.world import TINY, Version
from tmpcache import Cache, CachedFile
from tmpcache.errors import (
    AccessDeniedError,
    OriginError,
    OriginUnavailableError,
    QuotaExceededError,
)

caches = st.sampled_from(("first", "second"))
users = st.sampled_from(USERS)
keys = st.sampled_from(KEYS)
sizes = st.sampled_from(SIZES)
#: Drawn whatever there is to choose from, so that the steps are the same in every run.
numbers = st.integers(0, 1_000)
ages = st.sampled_from((0, 0, 10, 100))


class Model(Expectations):
    """What may be done to a cache that nobody damages."""

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
        confirmation = Confirmation(self.clock.now, body, {name})
        self.confirmations[opened.user, key, ""].append(confirmation)
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
        self.opened[name].cache.evict(BUCKET, key, whole_bucket=key is None)

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
        """Check that entries() and usage() agree with what is on disk."""
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
        """Open another cache, with the same credentials or others; paths of the old one stay."""
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
        """Fork a child that reads the paths it inherited, and fetches for itself."""

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
        """Kill a child somewhere in the middle of something."""

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
        """Note what a child may have had confirmed for this user before it ended."""
        user, current = self.opened[name].user, self.world.current(key)
        if current is not None and (user, key) not in self.world.denied and not self.world.down:
            confirmation = Confirmation(self.clock.now, current.content, set())
            self.confirmations[user, key, ""].append(confirmation)

    # ---- always ------------------------------------------------------------------------------

    @invariant()
    def errors_are_let_go_of(self) -> None:
        """Collect errors: their tracebacks keep the paths of their calls, and the leases."""
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
            cache.evict(BUCKET, key, whole_bucket=key is None)
        elif what == "fetch_many":
            cache.fetch_many(BUCKET, KEYS, threads=2, return_exceptions=True)
        elif what == "clear":
            cache.clear()
        else:
            cache.gc()
    except (OriginError, QuotaExceededError):
        return
