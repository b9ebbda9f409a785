"""Looking through the events that a test was told."""

from __future__ import annotations

from typing import Any

from tmpcache.events import Event


def of(kind: type[Event], told: list[Event]) -> list[Any]:
    """Return the events of one kind."""
    return [event for event in told if isinstance(event, kind)]
