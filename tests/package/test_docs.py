"""The documentation names files, functions, tests and pages; all of them exist."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = next(path for path in Path(__file__).parents if (path / "pyproject.toml").exists())
SOURCE = ROOT / "src/tmpcache"
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
)
#: `store/store.py:Store.look_up`, and `tests/test_x.py::test_y`, in backquotes.
FUNCTION = re.compile(r"`([\w./-]+\.py):{1,2}([A-Za-z_][\w.]*)`")
#: A test in backquotes, by its name alone: that is enough for ``pytest -k``.
TEST = re.compile(r"`(test_\w+)`")
#: A file of Python in backquotes, by a path with a directory in it.
FILE = re.compile(r"`([\w.-]+/[\w./-]+\.py)`")
#: ":mod:`..store.root`" in a docstring or comment.
ROLE = re.compile(r":(mod|func|meth|class|data|attr|exc):`~?([\w.]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
#: What a reader takes in at one sitting.
LONGEST = 150


@cache
def _tests() -> set[str]:
    files = (ROOT / "tests").rglob("test_*.py")
    return {name for file in files for name in re.findall(r"def (test_\w+)", file.read_text())}


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _text(page: str) -> str:
    return (ROOT / page).read_text()


def _file(name: str) -> Path | None:
    """The file that a page means, below the package or in the repository."""
    return next((top / name for top in (SOURCE, ROOT) if (top / name).is_file()), None)


def _defines(path: Path, dotted: str) -> bool:
    """Whether a module defines a function, class, method or constant of this name."""
    scope: ast.AST = _tree(path)
    for name in dotted.split("."):
        found = dict(_names(scope)).get(name)
        if found is None:
            return False
        scope = found
    return True


def _names(scope: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """The names that a module or class defines, also under ``if`` and ``else``."""
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.If):
            yield from _names(node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name, node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                names = target.elts if isinstance(target, ast.Tuple) else [target]
                yield from ((name.id, node) for name in names if isinstance(name, ast.Name))


@pytest.mark.parametrize("page", PAGES)
def test_the_functions_files_and_tests_that_a_page_names_exist(page: str) -> None:
    wrong = []
    for name, dotted in FUNCTION.findall(_text(page)):
        path = _file(name)
        if path is None or not _defines(path, dotted):
            wrong.append(f"{name}:{dotted}")
    wrong += [name for name in FILE.findall(_text(page)) if _file(name) is None]
    wrong += [name for name in TEST.findall(_text(page)) if name not in _tests()]
    assert not wrong


@pytest.mark.parametrize("page", PAGES)
def test_the_relative_links_of_a_page_lead_somewhere(page: str) -> None:
    here, wrong = (ROOT / page).parent, []
    for link in LINK.findall(_text(page)):
        path, _, anchor = link.partition("#")
        target = (here / path if path else ROOT / page).resolve()
        if "://" in link or link.startswith("mailto:"):
            continue
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            wrong.append(link)
    assert not wrong


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.stem)
def test_what_a_docstring_refers_to_exists(path: Path) -> None:
    roles = ROLE.findall(path.read_text())
    assert not [name for role, name in roles if not _is_there(path, name, is_module=role == "mod")]


def _is_there(path: Path, reference: str, *, is_module: bool) -> bool:
    """Whether a reference in the file at `path` leads to a module, or to a name in one.

    Dots are those of an import. A name that follows no module may be defined in any.
    """
    parts = reference.lstrip(".").split(".")
    dots = len(reference) - len(reference.lstrip("."))
    if parts[0] == "tmpcache":
        module, parts = SOURCE, parts[1:]
    elif dots:
        module = path.parents[dots - 1]
    else:
        module = Path()
    while parts and module != Path() and _module(module / parts[0]):
        module /= parts.pop(0)
    if is_module:
        return bool(_module(module)) and not parts
    names_no_module = dots > 0 and len(parts) > 1 and parts[0].islower()
    return not names_no_module and (parts[0] in sys.stdlib_module_names or _all_names() >= {*parts})


def _module(path: Path) -> Path | None:
    files = path.with_suffix(".py"), path / "__init__.py"
    return next((file for file in files if file.is_file()), None)


@cache
def _all_names() -> set[str]:
    """All functions, classes, variables and attributes that the package defines."""
    defined = re.compile(
        r"^\s*(?:async )?(?:def|class) (\w+)"
        r"|^\s*(?:self\.)?(\w+)(?:: [^=\n]+)? = |self\.(\w+),? .*=",
        re.MULTILINE,
    )
    texts = [path.read_text() for path in SOURCE.rglob("*.py")]
    return {name for text in texts for names in defined.findall(text) for name in names if name}


def _anchors(page: Path) -> set[str]:
    """What a heading is linked by: lower case, a hyphen for a space, no other signs."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_design_is_read_page_by_page() -> None:
    pages = {page: _text(page).count("\n") for page in PAGES if page.startswith("docs/design/")}
    assert "docs/design/README.md" in pages
    assert {page: lines for page, lines in pages.items() if lines > LONGEST} == {}


def test_every_page_of_the_design_is_in_its_table_of_contents() -> None:
    linked = set(LINK.findall(_text("docs/design/README.md")))
    pages = {page.name for page in (ROOT / "docs/design").glob("*.md")} - {"README.md"}
    assert pages <= linked


def test_the_examples_of_the_readme_are_python() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", _text("README.md"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        compile(block, "README.md", "exec")


def test_the_lines_that_break_a_promise_are_in_the_source() -> None:
    cell = r"\| `([^`]+)` "
    rows = re.findall(
        rf"^\| (P\d+) {cell}{cell}\| (?:`[^`]+` )?{cell}\|$", _text("CONTRIBUTING.md"), re.MULTILINE
    )
    assert {promise for promise, *_ in rows} == {f"P{number}" for number in range(1, 12)}
    for _, file, line, test in rows:
        assert (ROOT / file).read_text().count(line) == 1, (file, line)
        assert test in _tests()


def test_a_name_that_a_module_does_not_define_is_noticed() -> None:
    index = SOURCE / "store/index.py"
    assert _is_there(index, ".root", is_module=True)
    assert not _is_there(index, "..root", is_module=True)
    assert _is_there(index, ".RecoveringIndex.lock", is_module=False)
    assert not _is_there(index, ".RecoveringIndex.look_down", is_module=False)
    assert not _is_there(index, "..crash_recovery.rebuild", is_module=False)
    assert _defines(SOURCE / "store/store.py", "Store.look_up")
    assert not _defines(SOURCE / "store/store.py", "Store.look_down")
    assert not _defines(SOURCE / "store/store.py", "look_up")
    assert _file("store/nowhere.py") is None
