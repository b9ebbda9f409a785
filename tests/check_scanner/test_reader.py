"""The recogniser can be replaced: one module imports it, and it imports what a reading is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

from examples.check_scanner import __file__ as scanner

HERE = Path(scanner).parent
INSIDE = "recogniser"


def imports() -> Iterator[tuple[str, str]]:
    """Yield each module of the scanner with each name that it imports from the scanner."""
    for path in HERE.rglob("*.py"):
        package = ".".join(("scanner", *path.relative_to(HERE).parts[:-1]))
        module = f"{package}.{path.stem}".removeprefix("scanner.")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                start = resolve_name("." * node.level + (node.module or ""), package)
                for alias in node.names:
                    yield module, f"{start}.{alias.name}".removeprefix("scanner.")


def test_one_module_imports_the_recogniser() -> None:
    crossing = {(module, name) for module, name in imports() if name.startswith(INSIDE)}
    assert {module for module, _ in crossing if not module.startswith(INSIDE)} == {"reader"}


def test_the_recogniser_imports_nothing_of_the_scanner_but_what_a_reading_is() -> None:
    names = [name for module, name in imports() if module.startswith(INSIDE)]
    outside = {name.partition(".")[0] for name in names} - {INSIDE}
    assert outside == {"reading"}
    assert len(names) > 100
