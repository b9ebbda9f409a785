"""The layers of the package: no import upwards or in a circle, no long module, no slow start.

Imports for type checkers and imports within functions count: who reads a module follows them.
"""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest
from support.processes import spawn

import tmpcache
from tmpcache import Cache
from tmpcache.testing import Bucket

#: Lowest first. A module imports from its own line and from lines above. `store` and `origin` do
#: not know each other.
LAYERS = """
    errors
    common, config, events
    origin
    store.filesystem
    store.leases
    store.tables
    store.index
    store.staged_copies, store.changes
    store.root
    store.content, store.scratch_directories
    store.statistics
    store.database
    store.downloads
    store.store, store.many_copies, store, cached_file
    reports
    store.maintenance, store.diagnosis
    invocations
    fetching
    cache
    __init__
    functions
    integrations
    testing, cli.output
    cli.errors, cli.filters, cli.files
    cli.progress, cli.state
    cli.fetching, cli.looking, cli.removing
    cli.executing, cli.fleet, cli.doctor, cli.watch, cli.completion
    cli.app
    cli, __main__
"""
LEVELS = {
    name: level
    for level, line in enumerate(LAYERS.strip().splitlines())
    for name in line.strip().split(", ")
}
SOURCE = Path(tmpcache.__file__).parent
FILES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts): path.read_text()
    for path in SOURCE.rglob("*.py")
}


def level_of(module: str) -> int:
    """Return the level of the longest name in `LAYERS` that a module's name begins with."""
    parents = (module.rsplit(".", cut)[0] for cut in range(module.count(".") + 1))
    return next(LEVELS[name] for name in parents if name in LEVELS)


def imports_of(module: str) -> Iterator[str]:
    """Yield the modules of the package that a module imports."""
    package = f"tmpcache.{module}".rpartition(".")[0]
    for node in ast.walk(ast.parse(FILES[module])):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = resolve_name("." * node.level + (node.module or ""), package)
            names = [f"{start}.{alias.name}" for alias in node.names]
        else:
            continue
        for _, _, name in (name.partition("tmpcache.") for name in names):
            parent = name.rpartition(".")[0]
            candidates = [name, f"{name}.__init__", parent, f"{parent}.__init__".lstrip(".")]
            yield from [one for one in candidates if name and one in FILES][:1]


IMPORTS = {module: {*imports_of(module)} - {module} for module in FILES}


def test_no_module_imports_from_a_layer_above_its_own() -> None:
    pairs = [(module, name) for module, names in IMPORTS.items() for name in names]
    wrong = [pair for pair in pairs if level_of(pair[0]) < level_of(pair[1])]
    assert not wrong, "\n".join(map(" imports ".join, sorted(wrong)))
    tops = [{name.partition(".")[0] for name in pair} for pair in pairs]
    assert {"store", "origin"} not in tops
    assert len(pairs) > 200


def test_no_imports_lead_back_to_where_they_began() -> None:
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_modules_and_functions_fit_the_eye() -> None:
    lengths = {module: text.count("\n") for module, text in FILES.items()}
    long = [f"{module}: {length}" for module, length in lengths.items() if length > 300]
    assert not long, "\n".join(long)
    nodes = [node for text in FILES.values() for node in ast.walk(ast.parse(text))]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    assert statistics.median((node.end_lineno or 0) - node.lineno + 1 for node in functions) <= 12


def test_a_first_hit_imports_neither_boto3_nor_filelock(
    cache: Cache, root: Path, bucket: Bucket
) -> None:
    bucket.put("a", b"a")
    cache.fetch("models", "a")
    bucket.server.forget()
    with spawn(
        """
        import tmpcache
        modules = ("boto3", "botocore", "filelock", "xxhash", "humanize", "urllib3", "dataclasses")
        before = [name for name in modules if name in sys.modules]
        path = tmpcache.Cache(root, max_age=3600).fetch("models", "a")
        say([before, path.outcome.value, [name for name in modules if name in sys.modules]])
        """,
        root=str(root),
    ) as child:
        assert child.hear() == [[], "hit", []]
    assert bucket.server.requests == []


def test_importing_the_package_loads_next_to_nothing() -> None:
    with spawn(
        """
        before = set(sys.modules)
        import tmpcache
        say(sorted(set(sys.modules) - before))
        """
    ) as child:
        loaded = child.hear()
    ours = [name for name in loaded if name.startswith("tmpcache")]
    assert ours == ["tmpcache", "tmpcache.errors"]
    assert not {"sqlite3", "pathlib", "boto3", "typing", "dataclasses"} & set(loaded)
