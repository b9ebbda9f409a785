"""Releases with different formats on disk use one root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.shelf import Shelf

import tmpcache
from tmpcache import Outcome

KIB = 1024


@pytest.fixture
def shelf() -> Shelf:
    return Shelf({key: key.encode() * 200 * KIB for key in "abcdefgh"})


@pytest.fixture
def cache(root: Path, shelf: Shelf) -> tmpcache.Cache:
    """Room for four of these objects."""
    return tmpcache.Cache(root, quota="1 MiB", max_age=3600, origin=shelf)


def test_releases_of_two_formats_use_one_root(root: Path, tmp_path: Path) -> None:
    """A rolling upgrade: each threw the other's index away, and nobody ever had a hit."""
    package = Path(tmpcache.__file__).parent
    shutil.copytree(package, tmp_path / "next" / "tmpcache")
    line, another = "\nFORMAT = 5\n", "\nFORMAT = 6\n"
    [module] = [path for path in tmp_path.glob("next/**/*.py") if line in path.read_text()]
    module.write_text(module.read_text().replace(line, another))
    code = """if True:
        import sys, tmpcache
        from support.shelf import Shelf
        shelf = Shelf({f"k{i}": b"%d" % i * 9000 for i in range(20)})
        with tmpcache.Cache(sys.argv[1], max_age=3600, origin=shelf) as cache:
            print(tmpcache.__file__)
            for round in range(3):
                outcomes = [cache.fetch("b", key).outcome.value for key in shelf.objects]
                print(*sorted({*outcomes}), sep=",", flush=True)
                sys.stdin.readline()
            print(cache.usage().used, dict(cache.stats().damaged))
    """
    processes = []
    for path in (package.parent, tmp_path / "next"):
        environment = {**os.environ, "PYTHONPATH": f"{path}:{os.environ['PYTHONPATH']}"}
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(root)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline().startswith(str(path))
        assert process.stdout.readline() == "fetched\n"
        processes.append(process)
    for _ in range(2):
        for process in processes:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "hit\n"
    assert (root / "v6" / "index.sqlite").exists()
    for process in processes:
        answer = process.communicate("\n")[0]
        assert answer.endswith("{}\n")
        assert int(answer.split()[0]) > 20 * 9000 * 2  # each counts the other's files
    with tmpcache.Cache(root, max_age=3600, origin=Shelf({"k1": b"1" * 9000})) as cache:
        assert cache.fetch("b", "k1").outcome is Outcome.HIT
    assert not (root / "v6").exists()  # nobody lives in it any more


def test_a_later_release_removes_the_first_format(root: Path, shelf: Shelf) -> None:
    from tmpcache.store.root import Root

    with tmpcache.Cache(root, origin=shelf) as cache:
        cache.fetch("b", "a").release()
    later = Root(str(root), format=7)
    later.prepare()
    (other,) = later.other_formats()
    assert other.path == str(root)
    other.remove()
    assert sorted(os.listdir(root)) == ["CACHEDIR.TAG", "v7"]
