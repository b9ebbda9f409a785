"""What the tests of events share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import tmpcache
from tmpcache.common.events import subscriptions as all_subscriptions
from tmpcache.events import Event


@pytest.fixture
def told() -> Iterator[list[Event]]:
    """All events so far."""
    events: list[Event] = []
    with tmpcache.subscribe(events.append):
        yield events
    assert not all_subscriptions
