"""Foreign files where the cache keeps its own, and an index whose rows another program wrote.

Whatever is there, all verbs work and nothing outside the root is touched. The tests know the layout
no better than `os.walk` and `sqlite_master` do, so they hold for any.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from support.anywhere import MemoryOrigin, forked
from support.child import say
from support.processes import spawn
from support.shelf import Shelf

from tmpcache import Cache
from tmpcache.errors import TmpCacheError, UnsafeRootError

#: What the cache itself could call a file, by length and suffix, and what it never would.
NAMES = ("notes", "0123456789abcdef", "a" * 40, "0" * 32)


def opened(root: Path) -> Cache:
    return Cache(root, quota="2 MiB", origin=MemoryOrigin())


def verbs(cache: Cache) -> Iterator[tuple[str, Callable[[], object]]]:
    """Every way to use a cache, with more objects than fit."""
    yield "hit", lambda: cache.fetch("b", "100-first", max_age=60).read_bytes()
    yield "fetch", lambda: cache.fetch("b", "100000-second").read_bytes()
    yield "evict", lambda: churn(cache)
    yield "scratch", lambda: cache.scratch().remove()
    yield "make_room", lambda: cache.make_room("1500 KB")
    yield "entries", lambda: list(cache.entries())
    yield "usage", cache.usage
    yield "verify", cache.verify
    yield "gc", cache.gc
    yield "clear", cache.clear
    yield "again", lambda: cache.fetch("b", "100-first").read_bytes()
    yield "close", cache.close


def churn(cache: Cache) -> None:
    for number in range(9):
        cache.fetch("b", f"300000-{number}").release()


def complaints(root: Path, allowed: type[Exception] = UnsafeRootError) -> list[str]:
    """Which verbs fail with something that is not `allowed`, and how."""
    found = []
    try:
        cache = opened(root)
    except allowed:
        return []
    for name, verb in verbs(cache):
        try:
            verb()
        except allowed:
            pass
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{os.path.basename(at.filename)}:{at.lineno}"
            found.append(f"{name}: {type(error).__name__}: {error} ({where})")
    return found


# ---- foreign entries --------------------------------------------------------------------------


def a_directory(path: Path) -> None:
    path.mkdir()


def a_full_directory(path: Path) -> None:
    path.mkdir()
    (path / "file").touch()


def a_fifo(path: Path) -> None:
    os.mkfifo(path, 0o600)


def a_link(path: Path) -> None:
    path.symlink_to(path.parents[2] / "precious")


def a_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def an_empty_file(path: Path) -> None:
    path.touch(0o600)


def an_unreadable_file(path: Path) -> None:
    path.write_bytes(b"x" * 5000)
    path.chmod(0)


def a_file_of_an_odd_size(path: Path) -> None:
    path.write_bytes(b"x" * 4093)


KINDS = [
    a_directory,
    a_full_directory,
    a_fifo,
    a_link,
    a_dangling_link,
    an_empty_file,
    an_unreadable_file,
    a_file_of_an_odd_size,
]


def survey(top: Path, kind: Callable[[Path], None], *, instead: bool) -> None:
    """Say, for each place under a root, how the first verb fails with something of `kind` there.

    In each directory under names that nothing has yet, or `instead` of each entry of the root,
    where an error is allowed that says so. A process of its own meets each place, for 10 seconds.
    """
    allowed = TmpCacheError if instead else UnsafeRootError
    for number, place in enumerate(places(top / "model", instead=instead)):
        root = top / str(number) / "cache"
        root.parent.mkdir()
        fill(root)
        path = root / place
        if instead:
            remove(path)
        kind(path)
        status = forked(lambda root=root, place=place: meet(root, place, allowed))  # type: ignore[misc]
        if status:
            say(f"{place}: the process ended with {status}")
    say()


def meet(root: Path, place: str, allowed: type[Exception]) -> None:
    signal.alarm(10)
    for complaint in complaints(root, allowed)[:1]:
        say(f"{place}: {complaint}")


def fill(root: Path) -> None:
    with opened(root) as cache:
        cache.fetch("b", "100-first").release()
        cache.scratch().remove()


def places(root: Path, *, instead: bool) -> list[str]:
    fill(root)
    if instead:
        return sorted(os.listdir(root))
    directories = [at for at, _, _ in os.walk(root)]
    return [os.path.relpath(f"{at}/{name}", root) for at in directories for name in NAMES]


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


@pytest.mark.parametrize("instead", [False, True], ids=["beside", "instead"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_foreign_entry_is_in_nobodys_way(
    tmp_path: Path, kind: Callable[[Path], None], instead: bool
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("ten years of work")
    precious.chmod(0o640)
    code = """
        from store import test_hostile_root
        from pathlib import Path
        test_hostile_root.survey(Path(top), getattr(test_hostile_root, kind), instead=instead)
    """
    with spawn(code, top=str(tmp_path), kind=kind.__name__, instead=instead) as child:
        found = list(iter(child.hear, None))
    assert not found, "\n".join(map(str, found))
    assert precious.read_text() == "ten years of work"
    assert precious.stat().st_mode & 0o777 == 0o640


# ---- symbolic links to directories ------------------------------------------------------------


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """A directory outside the root, with something in it."""
    documents = tmp_path / "documents"
    (documents / "thesis" / "chapter").mkdir(parents=True)
    (documents / "thesis" / "chapter" / "text").write_text("ten years of work")
    documents.chmod(0o755)
    return documents


def assert_untouched(documents: Path) -> None:
    assert (documents / "thesis" / "chapter" / "text").read_text() == "ten years of work"
    assert [path.name for path in documents.iterdir()] == ["thesis"]
    assert documents.stat().st_mode & 0o777 == 0o755


def test_a_scratch_that_leads_elsewhere_is_not_swept(root: Path, documents: Path) -> None:
    """Somebody has moved it to a larger disk, or planted it."""
    fill(root)
    remove(root / "scratch")
    (root / "scratch").symlink_to(documents)
    assert complaints(root) == []
    assert_untouched(documents)


@pytest.mark.parametrize("name", NAMES)
def test_a_link_among_scratch_directories_leads_nobody_away(
    root: Path, documents: Path, name: str
) -> None:
    fill(root)
    (root / "scratch").mkdir(0o700, exist_ok=True)
    (root / "scratch" / name).symlink_to(documents)
    assert complaints(root) == []
    assert_untouched(documents)


# ---- hard links that the user has made --------------------------------------------------------


def test_eviction_leaves_the_modes_of_other_names_of_a_file(root: Path, tmp_path: Path) -> None:
    """Of a tree, and of what a handler linked: other users may still read them."""
    shelf = Shelf({f"micr/{n}.npz": os.urandom(50_000) for n in range(3)})
    shelf.objects |= {f"other/{n}": os.urandom(300_000) for n in range(8)}
    cache = Cache(root, quota="2 MiB", origin=shelf)
    tree, kept = tmp_path / "tree", tmp_path / "kept"
    cache.fetch_prefix("b", "micr/", into=tree)
    with cache.scratch() as work:
        os.link(work.fetch("b", "micr/0.npz"), kept)
    names = [*sorted(tree.iterdir()), kept]
    assert [path.stat().st_mode & 0o777 for path in names] == [0o444] * 4
    for number in range(8):
        cache.fetch("b", f"other/{number}").release()
    cache.clear()
    assert cache.usage().objects == 0
    assert [path.stat().st_mode & 0o777 for path in names] == [0o444] * 4


# ---- rows of somebody else's choice -----------------------------------------------------------

HOSTILE: list[Any] = [
    "../../victim",
    "0" * 15 + "/../../../victim",
    'x"\r\nX-Evil: 1',
    b"\xff\x00",
    2**62,
    -(2**40),
    1e300,
]


def index_of(root: Path) -> Path:
    """The SQLite database of a root."""
    (index,) = [
        path
        for path in root.rglob("*")
        if path.is_file() and path.read_bytes().startswith(b"SQLite format 3")
    ]
    return index


def columns(root: Path) -> list[tuple[str, str]]:
    """All columns of all tables."""
    with closing(sqlite3.connect(index_of(root))) as index:
        tables = index.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return [
            (table, row[1])
            for (table,) in tables
            for row in index.execute(f"PRAGMA table_info({table})")
        ]


def attacked(top: Path, number: int, statement: str, value: tuple[Any, ...] = ()) -> list[str]:
    """What fails first in a root in whose index this statement was carried out."""
    root, victim = top / str(number) / "cache", top / str(number) / "victim"
    root.parent.mkdir()
    victim.write_text("precious")
    victim.chmod(0o640)
    fill(root)
    with opened(root) as cache:
        cache.evict("nothing")
    with closing(sqlite3.connect(index_of(root))) as index, suppress(sqlite3.IntegrityError):
        index.execute(statement, value)
        index.commit()
    found = complaints(root)
    if victim.read_text() != "precious" or victim.stat().st_mode & 0o777 != 0o640:
        found.append("the victim was touched")
    return [f"{statement} {value[:1]}: {complaint}" for complaint in found[:1]]


def test_values_of_an_attackers_choice_are_a_miss(tmp_path: Path) -> None:
    """In each column of each table, values that no cache writes."""
    fill(tmp_path / "model")
    found, number = [], 0
    for table, column in columns(tmp_path / "model"):
        for value in HOSTILE:
            number += 1
            attack = f"UPDATE OR IGNORE {table} SET {column} = ?"
            found += attacked(tmp_path, number, attack, (value,))
    assert not found, "\n".join(found)


def test_rows_of_an_attackers_choice_are_a_miss(tmp_path: Path) -> None:
    """In each table a row, all of which is one hostile value."""
    fill(tmp_path / "model")
    found, number = [], 0
    tables: dict[str, list[str]] = {}
    for table, column in columns(tmp_path / "model"):
        tables.setdefault(table, []).append(column)
    for table, names in tables.items():
        for value in HOSTILE:
            number += 1
            attack = f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(names))})"
            found += attacked(tmp_path, number, attack, (value,) * len(names))
    assert not found, "\n".join(found)


def test_an_index_of_another_shape_is_made_anew(tmp_path: Path) -> None:
    """Tables that are gone, emptied, renamed or guarded by a trigger."""
    fill(tmp_path / "model")
    found, number = [], 0
    for table in dict(columns(tmp_path / "model")):
        for attack in (
            f"DELETE FROM {table}",
            f"DROP TABLE {table}",
            f"ALTER TABLE {table} RENAME TO elsewhere",
            f"CREATE TRIGGER evil AFTER INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END",
        ):
            number += 1
            if not table.startswith("sqlite_"):
                found += attacked(tmp_path, number, attack)
    assert not found, "\n".join(found)
