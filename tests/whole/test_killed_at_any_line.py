"""A process is killed, or another one starts, before any line of the package."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.processes import spawn

#: Fills, evicts, replaces and forgets; and looks whether a store is as it should be.
USES = """
    import random, shutil, signal, sys, tmpcache
    from support.anywhere import MemoryOrigin, forked, strike_at
    from support.content import assert_accounts_balance

    def open_cache(origin):
        return tmpcache.Cache(root, quota=quota, origin=origin)

    def use(cache, origin):
        with cache.fetch("b", "300000-kept"):  # there, or not, or evicted
            with cache.fetch("b", "150000-new.npz"):
                pass
        origin.version += 1
        for key in ("300000-other", "150000-new.npz", "5000-small"):  # the second is replaced
            cache.fetch("b", key).release()
        del cache.fetch_many("b", ["5000-one", "300000-kept", "5000-two", "90000-x"], threads=2)[:]
        cache.evict("b", "5000-small")

    def check(cache, origin):
        for key in ("150000-new.npz", "300000-kept", "300000-other"):
            with cache.fetch("b", key) as path:
                assert path.read_bytes() == origin.content(key), key
        assert_accounts_balance(cache)
        assert cache.usage().leased == 0
        assert cache.verify().damaged == ()
        assert cache.stats().damaged == {}
        left = [path.name for path in cache.root.glob("partial/*")]
        assert left == [], left

    def use_and_close():
        origin = MemoryOrigin()
        with open_cache(origin) as cache:
            use(cache, origin)

    def open_and_check():
        origin = MemoryOrigin()
        with open_cache(origin) as cache:
            check(cache, origin)

    use_and_close()  # imports, and makes the objects, once for all
"""

#: One process after another, each killed some lines later than the one before, until one gets to
#: the end. After each death another process uses the store and looks at its accounts.
KILLED = """
    step, line, rounds = random.Random(7), 1, 0
    while True:
        if fresh:
            shutil.rmtree(root)

        def victim():
            strike_at(line, lambda: os.kill(os.getpid(), signal.SIGKILL))
            use_and_close()

        status = forked(victim)
        assert status in (0, -signal.SIGKILL), f"line {line}: {status}"
        assert forked(open_and_check) == 0, f"after a kill at line {line}"
        rounds += 1
        if status == 0:
            break
        line += step.randint(1, 2 * stride - 1)
    say(rounds)
"""


@pytest.mark.parametrize(
    ("quota", "fresh"),
    [("1 MiB", True), ("1 MiB", False), ("64 MiB", False)],
    ids=["new root", "used root", "ample room"],
)
def test_a_process_killed_before_any_line_leaves_a_store_that_just_works(
    root: Path, quota: str, fresh: bool
) -> None:
    values = {"root": str(root), "quota": quota, "fresh": fresh, "stride": 20}
    with spawn(USES + KILLED, **values) as child:
        assert child.hear(timeout=300) > 50


def test_a_root_made_by_another_process_between_any_two_lines_is_shared(root: Path) -> None:
    code = """
    def fetch_one():
        with open_cache(MemoryOrigin()) as cache:
            cache.fetch("b", "5000-small").release()

    line, struck = 0, True
    while struck:
        line, struck = line + 1, []
        shutil.rmtree(root)
        strike_at(line, lambda: struck.append(forked(fetch_one)))
        try:
            cache = open_cache(MemoryOrigin())
            sys.settrace(None)
            with cache:
                cache.fetch("b", "5000-small").release()
                assert_accounts_balance(cache)
        except Exception as error:
            raise AssertionError(f"the other came before line {line}") from error
        assert struck in ([0], [])
        assert (open(f"{root}/CACHEDIR.TAG").readline() ==
                "Signature: 8a477f597d28d172789f06886806bc55\\n")
    say(line)
    """
    with spawn(USES + code, root=str(root), quota="1 MiB") as child:
        assert child.hear() > 20
