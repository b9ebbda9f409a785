"""On the site, a link that leads out of docs/ leads to the file in the repository."""

from __future__ import annotations

import posixpath
import re
from typing import Any

_LINK = re.compile(r"\]\((\.\./[^)\s#]+)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Lead links to source files to the repository."""

    def replaced(match: re.Match[str]) -> str:
        here = posixpath.dirname(posixpath.join("docs", page.file.src_uri))
        target = posixpath.normpath(posixpath.join(here, match[1]))
        inside = target == "docs" or target.startswith("docs/")
        return match[0] if inside else f"]({config.repo_url}/blob/main/{target}"

    return _LINK.sub(replaced, markdown)
