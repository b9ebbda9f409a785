"""Docstrings as the site shows them: doctests as code, Sphinx's roles as names."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^ *>>> .*(?:\n(?! *$).*)*", re.MULTILINE)
_FLAG = re.compile(r" *# doctest: .*")
_ROLE = re.compile(r":(?:class|meth|func|mod|attr|data):`[~.]*(?:tmpcache\.)?([\w.]+)`")


class Docstrings(griffe.Extension):
    """Rewrites each docstring as it is loaded."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of a class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = rewritten(obj.docstring.value)

    def on_package(self, *, pkg: griffe.Module, **options: Any) -> None:
        """Rewrite the docstrings of modules."""
        for module in (pkg, *pkg.modules.values()):
            self.on_object(obj=module)


def rewritten(text: str) -> str:
    """Return a docstring in Markdown.

    >>> print(rewritten("See :meth:`Cache.fetch`."))
    See `Cache.fetch`.
    """
    text = _EXAMPLE.sub(lambda match: f"```pycon\n{_FLAG.sub('', match[0])}\n```", text)
    return _ROLE.sub(r"`\1`", text)
