"""What to say when the packages that tests need are not installed."""

from __future__ import annotations


def missing(what: str, module: str | None) -> ModuleNotFoundError:
    """The error for `what` needing a `module` that is not there."""
    return ModuleNotFoundError(
        f"{what} needs the package {module}, which is not installed: "
        "pip install 'tmpcache[testing]'",
        name=module,
    )
