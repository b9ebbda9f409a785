"""Events of tmpcache in Powertools' metrics: ``tmpcache.subscribe(powertools.hook(metrics))``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..events import Event


def hook(metrics: Any) -> Callable[[Event], None]:
    """Return a hook that adds events to Powertools' `metrics`, in the dimensions that these have.

    Metrics ``TmpcacheFetched`` (how many), ``TmpcacheFetchedBytes`` and ``TmpcacheFetchedSeconds``,
    and so for each event. CloudWatch bills each dimension set of a metric, so no dimension is
    added. ``@tmpcache.invocation(metrics=…)`` may be used beside it: it prints a line of its own.
    """
    from aws_lambda_powertools.metrics import MetricUnit

    def tell(event: Event) -> None:
        name = f"Tmpcache{type(event).__name__}"
        metrics.add_metric(name, MetricUnit.Count, 1)
        if (count := getattr(event, "bytes", None)) is not None:
            metrics.add_metric(f"{name}Bytes", MetricUnit.Bytes, count)
        if (took := getattr(event, "seconds", None)) is not None:
            metrics.add_metric(f"{name}Seconds", MetricUnit.Seconds, took)

    return tell
