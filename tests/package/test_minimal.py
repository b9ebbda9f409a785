"""The smallest example: what it promises, and that the README shows it as it is."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from examples import minimal
from tmpcache import Cache
from tmpcache.testing import Clock, ColdStart, S3Server, WarmStart

ROOT = Path(__file__).parents[2]
EVENT = {"detail": {"bucket": {"name": "orders"}, "object": {"key": "17 & 4.json"}}}


def test_an_invoice_is_written_and_the_second_one_asks_for_the_order_alone(
    tmpcache_s3: S3Server,
    tmpcache_cache: Cache,
    tmpcache_clock: Clock,
    tmpcache_warm_start: WarmStart,
    tmpcache_cold_start: ColdStart,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ASSETS_BUCKET", "assets")
    assets, orders = tmpcache_s3.bucket("assets"), tmpcache_s3.bucket("orders")
    assets.put("rates.json", json.dumps({"EUR": 1.1}).encode())
    assets.put("invoice.html", b"<p>$customer owes $amount")
    order = {"customer": "Ann <Lee>", "cents": 1900, "currency": "EUR"}
    orders.put("17 & 4.json", json.dumps(order).encode())

    def invoice() -> Any:
        client = tmpcache_s3.client()
        return client.get_object(Bucket="orders", Key="17 & 4.json.html")

    first = tmpcache_warm_start(minimal.handler, EVENT, None)
    assert first == {"invoice": "17 & 4.json.html", "layout": "fetched"}
    assert invoice()["Body"].read() == b"<p>Ann &lt;Lee&gt; owes 20.90"
    assert invoice()["ContentType"] == "text/html; charset=utf-8"

    orders.put("17 & 4.json", json.dumps({**order, "customer": "Bo"}).encode())
    tmpcache_s3.forget()
    tmpcache_clock.advance(1)
    assert tmpcache_warm_start(minimal.handler, EVENT, None)["layout"] == "hit"
    assert [one.path for one in tmpcache_s3.gets()] == [orders.path("17 & 4.json")]
    assert invoice()["Body"].read() == b"<p>Bo owes 20.90"

    tmpcache_s3.forget()
    assert tmpcache_cold_start(minimal.handler, EVENT, None, after=1)["layout"] == "hit"
    assert len(tmpcache_s3.gets()) == 1
    assert not list((tmpcache_cache.root / "scratch").glob("*/*"))


def test_it_fits_a_screen_and_the_readme_shows_its_handler() -> None:
    source = Path(minimal.__file__).read_text("utf-8")
    assert len(source.splitlines()) <= 60
    shown = inspect.getsource(minimal.handler)
    assert f"```python\n{shown}```" in (ROOT / "README.md").read_text("utf-8")
