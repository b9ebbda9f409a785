"""Events of tmpcache as structlog's: ``tmpcache.subscribe(structlog.hook())``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..events import Event


def hook(logger: Any = None) -> Callable[[Event], None]:
    """Return a hook that logs each event by its name, with its facts, at its level.

    `logger` is structlog's; default: ``structlog.get_logger("tmpcache")``. Keys and reasons come
    from elsewhere: use a renderer that escapes line breaks, such as ``JSONRenderer``.
    """
    from dataclasses import asdict

    from structlog import get_logger

    log = get_logger("tmpcache") if logger is None else logger

    def tell(event: Event) -> None:
        log.log(event.level, type(event).__name__, **asdict(event))

    return tell
