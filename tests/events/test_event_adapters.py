"""The events of a real fetch, as four real libraries get them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.processes import spawn

import tmpcache
from tmpcache import Cache
from tmpcache.integrations import opentelemetry, powertools, prometheus, structlog
from tmpcache.testing import Bucket


def fetch_twice(cache: Cache, bucket: Bucket) -> None:
    bucket.put("a", b"x" * 1000)
    cache.fetch("models", "a")
    cache.fetch("models", "a")
    cache.fetch("models", "a", max_age=60)


def test_structlog_gets_names_facts_and_levels(cache: Cache, bucket: Bucket) -> None:
    capture_logs = pytest.importorskip("structlog.testing").capture_logs
    with capture_logs() as logs, tmpcache.subscribe(structlog.hook()):
        fetch_twice(cache, bucket)
    assert [(log["event"], log["log_level"]) for log in logs] == [
        ("Fetched", "debug"),
        ("Revalidated", "debug"),
    ]
    assert (logs[0]["bucket"], logs[0]["key"], logs[0]["bytes"]) == ("models", "a", 1000)


def test_prometheus_counts_and_sums(cache: Cache, bucket: Bucket) -> None:
    registry = pytest.importorskip("prometheus_client").CollectorRegistry()
    with tmpcache.subscribe(prometheus.hook(registry)):
        fetch_twice(cache, bucket)

    def value(name: str, event: str) -> Any:
        return registry.get_sample_value(name, {"event": event})

    assert value("tmpcache_events_total", "Fetched") == 1
    assert value("tmpcache_events_total", "Revalidated") == 1
    assert value("tmpcache_bytes_total", "Fetched") == 1000
    assert value("tmpcache_seconds_count", "Fetched") == 1
    assert value("tmpcache_seconds_sum", "Fetched")


def test_opentelemetry_counts_and_the_span_has_the_facts(cache: Cache, bucket: Bucket) -> None:
    metrics = pytest.importorskip("opentelemetry.sdk.metrics")
    reader = pytest.importorskip("opentelemetry.sdk.metrics.export").InMemoryMetricReader()
    provider = pytest.importorskip("opentelemetry.sdk.trace").TracerProvider()
    tracer = provider.get_tracer("test")
    with (
        tmpcache.subscribe(opentelemetry.hook(metrics.MeterProvider([reader]))),
        tracer.start_as_current_span("request") as span,
    ):
        fetch_twice(cache, bucket)
    data = reader.get_metrics_data()
    found = {
        (metric.name, point.attributes["event"]): point
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.data.data_points
    }
    assert found["tmpcache.events", "Fetched"].value == 1
    assert found["tmpcache.bytes", "Fetched"].value == 1000
    assert found["tmpcache.duration", "Revalidated"].count == 1
    first, second = span.events
    assert (first.name, second.name) == ("tmpcache.Fetched", "tmpcache.Revalidated")
    assert first.attributes["key"] == "a"


def test_powertools_has_one_dimension_set_beside_the_line_of_the_invocation(
    cache: Cache, bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    aws_lambda_powertools = pytest.importorskip("aws_lambda_powertools")
    metrics = aws_lambda_powertools.Metrics(namespace="Shop", service="checks")

    @metrics.log_metrics  # type: ignore[untyped-decorator]
    @cache.invocation(metrics="tmpcache")
    def handler(event: object, context: object) -> None:
        fetch_twice(cache, bucket)

    with tmpcache.subscribe(powertools.hook(metrics)):
        handler({}, None)
    ours, theirs = map(json.loads, capsys.readouterr().out.splitlines())
    assert ours["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "tmpcache"
    (block,) = theirs["_aws"]["CloudWatchMetrics"]
    assert (block["Namespace"], block["Dimensions"]) == ("Shop", [["service"]])
    assert theirs["TmpcacheFetched"] == [1]  # it was validated once in the invocation
    assert theirs["TmpcacheFetchedBytes"] == [1000]
    units = {metric["Name"]: metric["Unit"] for metric in block["Metrics"]}
    assert units["TmpcacheFetchedSeconds"] == "Seconds"


def test_adapters_import_their_libraries_when_they_are_used(root: Path) -> None:
    names = ["structlog", "prometheus_client", "opentelemetry", "aws_lambda_powertools"]
    with spawn(
        """
        from tmpcache.integrations import opentelemetry, powertools, prometheus, structlog
        say([name for name in names if name in sys.modules])
        """,
        names=names,
    ) as child:
        assert child.hear() == []
