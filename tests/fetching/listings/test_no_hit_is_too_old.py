"""No hit is older than max_age, and none is anybody's whom S3 did not give it, however confirmed.

Any order of writes, listings (which arrive late, or twice), reads, steps of the clock, changes of
credentials and of rights is tried against a model that knows what was true when.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fleet import LISTING, NOW, PREFIX, listing
from support.shelf import Shelf, etag_of

from tmpcache import Cache, Outcome
from tmpcache.errors import AccessDeniedError, ObjectNotFoundError
from tmpcache.testing import Clock

KEYS, USERS = ("a", "b"), ("one", "two")
MAX_AGE, ASK_AGAIN_AFTER = 8.0, 60.0

KEY, USER = st.sampled_from(KEYS), st.sampled_from(USERS)
WRITE = st.tuples(st.just("write"), KEY, st.integers(0, 1))
PUBLISH = st.tuples(st.just("publish"))
READ = st.tuples(st.just("read"), USER, KEY)
WAIT = st.tuples(st.just("wait"), st.sampled_from([1.0, 3.0, 7.9]))
RARE = st.one_of(
    st.tuples(st.just("delete"), KEY),
    st.tuples(st.just("list")),
    st.tuples(st.just("arrive"), st.integers(0, 3)),
    st.tuples(st.just("read_many"), USER),
    st.tuples(st.just("wait"), st.sampled_from([-1.0, 0.1, 20.0])),
    st.tuples(st.just("deny"), USER, KEY),
    st.tuples(st.just("allow"), USER, KEY),
)
#: What is needed for a hit by a listing comes often, so that hits are what is tried.
STEPS = st.one_of(WRITE, PUBLISH, READ, READ.map(lambda step: step), WAIT, RARE)


@dataclass
class World:
    """S3 with two users, one cache that is one or the other, and what was true when."""

    root: str
    clock: Clock = field(default_factory=lambda: Clock(NOW))
    shelf: Shelf = field(default_factory=Shelf)
    #: The latest that the clock has shown: what happens after it was set back is later than that.
    latest: float = NOW
    #: Since when each object has had which body, None for none.
    history: dict[str, list[tuple[float, bytes | None]]] = field(default_factory=dict)
    denied: set[tuple[str, str]] = field(default_factory=set)
    #: When S3 last gave or confirmed an object to a user.
    given: dict[tuple[str, str], float] = field(default_factory=dict)
    listings: list[bytes] = field(default_factory=list)
    hits: int = 0

    def __post_init__(self) -> None:
        for key in KEYS:
            self.history[key] = [(0.0, None)]
            self.write(key, 0)
        made: dict[str, Any] = {"origin": self.shelf, "clock": self.clock, "listings": [PREFIX]}
        self.cache = Cache(
            self.root, max_age=MAX_AGE, ask_again_after=ASK_AGAIN_AFTER, quota="16 MiB", **made
        )

    def write(self, key: str, body: int) -> None:
        content = b"%d" % body
        self.shelf.objects[f"micr/{key}"] = content
        self.history[key].append((self.latest, content))

    def delete(self, key: str) -> None:
        self.shelf.objects.pop(f"micr/{key}", None)
        self.history[key].append((self.latest, None))

    def list(self) -> None:
        objects = self.shelf.objects
        etags = {key: etag_of(objects[f"micr/{key}"]) for key in KEYS if f"micr/{key}" in objects}
        self.listings.append(listing(self.clock.now, etags))

    def arrive(self, back: int) -> None:
        if self.listings:
            self.shelf.objects[LISTING] = self.listings[-1 - back % len(self.listings)]

    def publish(self) -> None:
        self.list()
        self.arrive(0)

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.latest = max(self.latest, self.clock.now)

    def deny(self, user: str, key: str) -> None:
        self.denied.add((user, key))

    def allow(self, user: str, key: str) -> None:
        self.denied.discard((user, key))

    def read_many(self, user: str) -> None:
        self._be(user)
        names = [f"micr/{key}" for key in KEYS]
        asked = {key: self.shelf.asked[f"micr/{key}"] for key in KEYS}
        found = self.cache.fetch_many("models", names, return_exceptions=True)
        for key, path in zip(KEYS, found, strict=True):
            if not isinstance(path, Exception):
                self._check(user, key, path.outcome, path.read_bytes(), asked[key])
            else:
                self.given.pop((user, key), None)

    def read(self, user: str, key: str) -> None:
        self._be(user)
        asked = self.shelf.asked[f"micr/{key}"]
        try:
            with self.cache.fetch("models", f"micr/{key}") as path:
                self._check(user, key, path.outcome, path.read_bytes(), asked)
        except AccessDeniedError:
            assert (user, key) in self.denied
            self.given.pop((user, key), None)
        except ObjectNotFoundError:
            assert self.history[key][-1][1] is None

    def _be(self, user: str) -> None:
        self.shelf.scope = user
        self.shelf.denied = {f"micr/{key}" for who, key in self.denied if who == user}

    def _check(self, user: str, key: str, outcome: Outcome, body: bytes, asked: int) -> None:
        now = self.clock.now
        if self.shelf.asked[f"micr/{key}"] > asked:
            assert body == self.history[key][-1][1]
            self.given[user, key] = now
            return
        assert outcome is Outcome.HIT
        assert now - self.given[user, key] < ASK_AGAIN_AFTER + 1  # and a clock that was set back
        ends = [at for at, _ in self.history[key][1:]] + [float("inf")]
        while_true = [
            end > now - MAX_AGE
            for (_, content), end in zip(self.history[key], ends, strict=True)
            if content == body
        ]
        assert any(while_true), "it was another one for all of max_age"
        self.hits += 1


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(STEPS, min_size=80, max_size=200))
def test_no_hit_is_too_old_and_none_is_anothers(steps: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as above:
        world = World(f"{above}/cache")
        for name, *arguments in steps:
            getattr(world, name)(*arguments)
        world.cache.close()
