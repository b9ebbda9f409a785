"""Events of tmpcache in Prometheus: ``tmpcache.subscribe(prometheus.hook())``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..events import Event


def hook(registry: Any = None) -> Callable[[Event], None]:
    """Return a hook that counts events, and sums up their bytes and seconds.

    Metrics ``tmpcache_events_total``, ``tmpcache_bytes_total`` and ``tmpcache_seconds``, each with
    the label ``event``, such as ``Fetched``. No bucket or key is a label: there are too many.

    `registry` is a ``CollectorRegistry``; default: prometheus_client's own. It takes a metric once,
    so call this once for each.
    """
    from prometheus_client import REGISTRY, Counter, Summary

    options: Any = {"labelnames": ["event"], "registry": registry or REGISTRY}
    events = Counter("tmpcache_events", "What happened in tmpcache.", **options)
    size = Counter("tmpcache_bytes", "Bytes that were fetched, revalidated or evicted.", **options)
    seconds = Summary("tmpcache_seconds", "How long it took.", **options)

    def tell(event: Event) -> None:
        name = type(event).__name__
        events.labels(name).inc()
        if (count := getattr(event, "bytes", None)) is not None:
            size.labels(name).inc(count)
        if (took := getattr(event, "seconds", None)) is not None:
            seconds.labels(name).observe(took)

    return tell
