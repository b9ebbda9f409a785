"""Builds a layer for Lambda: tmpcache and what it needs beside the boto3 that Lambda has.

``make layer`` writes ``dist/tmpcache-layer-python3.13-x86_64.zip`` and the same for ``arm64``, for
the Python that runs this. Bytecode is compiled in advance and marked as not to be checked, since
nothing changes in a layer: a function's first import neither compiles nor compares.
"""

from __future__ import annotations

import py_compile
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path

import humanize

ROOT = Path(__file__).parents[1]
ARCHITECTURES = {"x86_64": "manylinux2014_x86_64", "arm64": "manylinux2014_aarch64"}
#: In Lambda's own environment already.
PROVIDED = {"boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3"}
#: Directories that no function reads.
LEFT_OUT = {"bin", "locale", "sboms"}
#: Zip files have no earlier date; with one date for all, the same content is the same file.
DATE = (1980, 1, 1, 0, 0, 0)


def main(target: Path = ROOT / "dist") -> list[Path]:
    """Build the layers for both architectures; return their paths."""
    target.mkdir(exist_ok=True)
    layers = [build(target, architecture) for architecture in ARCHITECTURES]
    for layer in layers:
        print(f"{layer}: {humanize.naturalsize(layer.stat().st_size)}")
    return layers


def build(target: Path, architecture: str) -> Path:
    """Build the layer for one architecture; return its path."""
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    layer = target / f"tmpcache-layer-{python}-{architecture}.zip"
    with tempfile.TemporaryDirectory() as directory:
        install(Path(directory), ARCHITECTURES[architecture])
        pack(Path(directory), layer)
    return layer


def install(directory: Path, platform: str) -> None:
    """Install tmpcache and its dependencies, without those that Lambda provides."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    into = ["--target", str(directory), "--no-deps", "--no-compile"]
    subprocess.run([*pip, *into, str(ROOT)], check=True)
    wheels = ["--only-binary", ":all:", "--platform", platform, "--implementation", "cp"]
    subprocess.run([*pip, *into, *wheels, "--upgrade", *needed(directory)], check=True)


def needed(directory: Path) -> Iterator[str]:
    """Yield the requirements of tmpcache that Lambda does not provide."""
    from importlib.metadata import PathDistribution
    from re import match

    (metadata,) = directory.glob("tmpcache-*.dist-info")
    for requirement in PathDistribution(metadata).requires or ():
        name = match(r"[\w.-]+", requirement)
        if "extra ==" not in requirement and name and name[0] not in PROVIDED:
            yield requirement


def pack(directory: Path, layer: Path) -> None:
    """Write the files, and the bytecode of the modules, below ``python/`` of a zip file."""
    with zipfile.ZipFile(layer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(path for path in directory.rglob("*") if path.is_file()):
            name = path.relative_to(directory)
            if LEFT_OUT & {*name.parts}:
                continue
            add(archive, path, str(name))
            if path.suffix == ".py":
                add(archive, compiled(path, name), cache_from_source(str(name)))


def compiled(path: Path, name: Path) -> Path:
    """Compile a module beside itself; return the file."""
    bytecode = f"{path}.bytecode"
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(
        str(path), bytecode, f"/opt/python/{name}", doraise=True, invalidation_mode=unchecked
    )
    return Path(bytecode)


def add(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    """Add a file, readable for everybody, as Lambda's user is another one."""
    entry = zipfile.ZipInfo(f"python/{name}", DATE)
    entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
    archive.writestr(entry, path.read_bytes())


if __name__ == "__main__":
    main()
