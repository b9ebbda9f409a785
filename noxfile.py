"""``nox``: the package's tests on every Python that it supports, lint, and the site."""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "venv"
PYTHONS = ["3.11", "3.12", "3.13"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests; arguments after ``--`` go to pytest."""
    session.run("make", "test", f"VENV={session.virtualenv.location}", external=True)


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    """Run the linters and the type checker."""
    session.run("make", "lint", f"VENV={session.virtualenv.location}", external=True)


@nox.session(python=PYTHONS[0])
def docs(session: nox.Session) -> None:
    """Build the site."""
    session.run("make", "docs", f"VENV={session.virtualenv.location}", external=True)
