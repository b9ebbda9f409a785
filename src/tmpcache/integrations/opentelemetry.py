"""Events of tmpcache in OpenTelemetry: ``tmpcache.subscribe(opentelemetry.hook())``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..events import Event


def hook(meter_provider: Any = None) -> Callable[[Event], None]:
    """Return a hook that counts events, and adds each to the span that is current.

    Metrics ``tmpcache.events``, ``tmpcache.bytes`` and ``tmpcache.duration`` (a histogram of
    seconds), each with the attribute ``event``, such as ``Fetched``. What the span gets has all
    facts, bucket and key too.

    `meter_provider` defaults to the global one.
    """
    from dataclasses import asdict

    from opentelemetry import metrics, trace

    meter = metrics.get_meter("tmpcache", meter_provider=meter_provider)
    events = meter.create_counter("tmpcache.events", "{event}")
    size = meter.create_counter("tmpcache.bytes", "By")
    duration = meter.create_histogram("tmpcache.duration", "s")

    def tell(event: Event) -> None:
        name, facts = type(event).__name__, asdict(event)
        events.add(1, {"event": name})
        if (count := facts.get("bytes")) is not None:
            size.add(count, {"event": name})
        if (took := facts.get("seconds")) is not None:
            duration.record(took, {"event": name})
        known = {fact: value for fact, value in facts.items() if value is not None}
        trace.get_current_span().add_event(f"tmpcache.{name}", known)

    return tell
