"""Builds wheel and source distribution, and uses them as somebody would who has just found them.

``make release-check``: both are built and their metadata checked; each is installed into an empty
environment, where the first page of the documentation is run from it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = re.compile(r"^(?:<!-- (?:setup|check)\n(.*?)^-->|```python\n(.*?)^```)", re.DOTALL | re.M)


def main() -> None:
    """Build, check, install and run; end with an error at the first thing that is wrong."""
    with tempfile.TemporaryDirectory() as directory:
        built = Path(directory, "dist")
        run(sys.executable, "-m", "build", "--outdir", str(built), str(ROOT))
        packages = sorted(built.iterdir())
        run(sys.executable, "-m", "twine", "check", "--strict", *map(str, packages))
        for package in packages:
            check(package, Path(directory, package.suffix))
    print(f"{', '.join(package.name for package in packages)}: built, installed and used")


def check(package: Path, environment: Path) -> None:
    """Install a package into an empty environment, and run the first page from it."""
    venv.create(environment, with_pip=True)
    python = str(environment / "bin/python")
    run(python, "-m", "pip", "install", "--quiet", f"tmpcache[testing] @ {package.as_uri()}")
    page = (ROOT / "docs/five-minutes.md").read_text()
    program = "\n".join(hidden or shown for hidden, shown in CODE.findall(page))
    run(python, "-I", "-c", program, cwd=environment)
    where = "import tmpcache; print(tmpcache.__version__, tmpcache.__file__)"
    run(python, "-I", "-c", where, cwd=environment)


def run(*command: str, cwd: Path = ROOT) -> None:
    """Run a command; end with its exit code if it fails."""
    done = subprocess.run(command, cwd=cwd)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
