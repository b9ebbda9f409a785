"""The error for a package of the extra ``testing`` that is not installed."""

from __future__ import annotations


def missing(what: str, module: str | None) -> ModuleNotFoundError:
    """Return the error to raise if `what` needs a `module` that is not installed."""
    return ModuleNotFoundError(
        f"{what} needs the package {module}, which is not installed: "
        "pip install 'tmpcache[testing]'",
        name=module,
    )
