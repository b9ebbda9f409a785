"""The layer for Lambda: what is in it, and that a function runs from it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks.layer import KEY, SIZE, Function, fetching, unpacked, without_bytecode
from benchmarks.server import BUCKET
from release import layer
from tmpcache.testing import Bucket


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return layer.main(tmp_path_factory.mktemp("layers"))


def test_a_layer_has_what_lambda_has_not_and_nothing_else(layers: list[Path]) -> None:
    assert len(layers) == 2
    for path in layers:
        assert path.stat().st_size < 4_000_000
        names = zipfile.ZipFile(path).namelist()
        packages = {name.split("/")[1] for name in names if ".dist-info" not in name}
        assert packages == {"tmpcache", "filelock", "humanize", "xxhash"}
        modules = [name for name in names if name.endswith(".py")]
        assert len([name for name in names if name.endswith(".pyc")]) == len(modules)
    binaries = [name for name in names if name.endswith(".so")]
    assert [name for name in binaries if "aarch64" in name]  # the last one is for arm64


RUN = """
import importlib.util, sys
sys.path.insert(0, sys.argv[1])
import tmpcache, tmpcache.fetching.fetcher
assert tmpcache.__file__.startswith(sys.argv[1]), tmpcache.__file__
bytecode = open(importlib.util.cache_from_source(tmpcache.__file__), "rb").read(16)
assert bytecode[4:8] == bytes([1, 0, 0, 0]), "the bytecode is checked against the source"
print(tmpcache.Cache(root=sys.argv[2]).fetch("models", "a").read_text())
"""


def test_a_function_runs_from_the_layer(layers: list[Path], bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("a", b"from the layer")
    zipfile.ZipFile(layers[0]).extractall(tmp_path / "opt")
    command = [sys.executable, "-c", RUN, str(tmp_path / "opt/python"), str(tmp_path / "root")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("from the layer\n", "")


def test_a_cold_start_with_the_layer_is_measured_and_checked(
    layers: list[Path], bucket: Bucket, tmp_path: Path
) -> None:
    objects = bucket.server.bucket(BUCKET)
    objects.put(KEY, bytes(SIZE))
    opt = unpacked(layers[0], tmp_path / "opt")
    for unzipped, bytecode in (opt, True), (without_bytecode(opt, tmp_path / "source"), False):
        assert any(unzipped.rglob("*.pyc")) is bytecode
        function = Function(sys.executable, tmp_path, unzipped)
        from_here = f"import tmpcache\nassert tmpcache.__file__.startswith({str(unzipped)!r})\n"
        root = tmp_path / f"tmp-{bytecode}"
        root.mkdir()
        for outcome in ("fetched", "hit"):
            assert function.first_response(from_here + fetching(outcome), str(root)) > 0
            assert len(objects.gets(KEY)) == 1
        with pytest.raises(RuntimeError, match="payload='hit'"):
            function.first_response(fetching("fetched"), str(root))
        bucket.server.forget()


def test_a_layer_is_the_same_file_when_its_content_is(layers: list[Path], tmp_path: Path) -> None:
    """Else every deployment would be a new version of it."""
    for name in ("one", "two"):
        directory = tmp_path / name
        directory.mkdir()
        (directory / "module.py").write_text("x = 1\n")
        layer.pack(directory, tmp_path / f"{name}.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
