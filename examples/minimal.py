"""A whole function with each verb of tmpcache once: an order arrives, its invoice is written.

EventBridge announces orders (JSON) in a bucket; ``invocation``, ``load``, ``fetch``, ``scratch``
and ``put`` do the rest. It needs Python and tmpcache alone, and ``ASSETS_BUCKET`` in its
environment.
"""

import html
import json
import os
from pathlib import Path
from string import Template
from typing import Any

import tmpcache


def read_json(path: Path) -> Any:
    """Parse a file; `tmpcache.load` calls this once per content."""
    return json.loads(path.read_bytes())


@tmpcache.invocation  # a deadline, and a tidy end
def handler(event: dict[str, Any], context: object) -> dict[str, str]:
    """Write the invoice of the order that ``event`` names beside it."""
    assets = os.environ["ASSETS_BUCKET"]
    bucket, key = event["detail"]["bucket"]["name"], event["detail"]["object"]["key"]
    rates = tmpcache.load(assets, "rates.json", read_json, max_age=300)  # parsed, in memory
    layout = tmpcache.fetch(assets, "invoice.html", max_age=3600)  # a file, read-only
    with tmpcache.scratch() as work:  # private, removed whatever happens
        order = read_json(work.fetch(bucket, key, name="order.json"))
        cents = round(order["cents"] * rates[order["currency"]])
        customer = html.escape(order["customer"])
        invoice = work / "invoice.html"
        invoice.write_text(
            Template(layout.read_text("utf-8")).substitute(
                customer=customer, amount=f"{cents // 100}.{cents % 100:02}"
            ),
            encoding="utf-8",
        )
        tmpcache.put(bucket, f"{key}.html", invoice, content_type="text/html; charset=utf-8")
    return {"invoice": f"{key}.html", "layout": layout.outcome.value}
