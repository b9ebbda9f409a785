"""Fixtures and classes to test functions that use tmpcache; ``pip install 'tmpcache[testing]'``.

pytest finds the fixtures by itself; :mod:`tmpcache.testing.plugin` describes them::

    def test_a_warm_start_sends_no_request(
        tmpcache_s3, tmpcache_cache, tmpcache_cold_start, tmpcache_warm_start
    ):
        models = tmpcache_s3.bucket("models")
        models.put("e13b.npz", b"template")
        tmpcache_cold_start(app.handler, {}, None)
        tmpcache_warm_start(app.handler, {}, None)
        assert len(models.gets("e13b.npz")) == 1

Under another test runner, use the classes: :class:`S3Server` is an S3 on loopback that records
requests and fails on demand; :class:`LambdaHarness` runs a function under Lambda's own runtime
client; :class:`ColdStart` and :class:`WarmStart` are two ways to call a function again;
:class:`Clock` is a clock that a test advances. They do not belong in production code.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .clock import Clock
    from .faults import Fault
    from .invocation import FunctionError, InitError, Invocation
    from .lambda_harness import LambdaHarness
    from .request import Request
    from .s3 import Bucket, S3Server
    from .starts import ColdStart, ColdStartError, WarmStart

__all__ = [
    "Bucket",
    "Clock",
    "ColdStart",
    "ColdStartError",
    "Fault",
    "FunctionError",
    "InitError",
    "Invocation",
    "LambdaHarness",
    "Request",
    "S3Server",
    "WarmStart",
]

_MODULES = {
    "Bucket": "s3",
    "Clock": "clock",
    "ColdStart": "starts",
    "ColdStartError": "starts",
    "Fault": "faults",
    "FunctionError": "invocation",
    "InitError": "invocation",
    "Invocation": "invocation",
    "LambdaHarness": "lambda_harness",
    "Request": "request",
    "S3Server": "s3",
    "WarmStart": "starts",
}


def __getattr__(name: str) -> Any:
    # Wherever tmpcache is installed, pytest loads the plugin, and with it this package, in every
    # run. So moto (0.6 s) and psutil are imported when a test uses something that needs them.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from .extra import missing

    try:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        raise missing(f"{__name__}.{name}", error.name) from error
