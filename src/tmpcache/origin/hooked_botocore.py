"""Detects packages that have hooked into botocore: mocks, recorders, tracers.

While one has, requests must go through botocore: a unit test under moto's ``mock_aws`` must never
reach a network, and a trace that lacks requests is worse than none. So before each request this
module compares the functions that such packages replace with those that it has found to be
botocore's own (3 µs). A botocore that is not imported has no hooks, but some packages wait for its
import; they are looked for as well.
"""

from __future__ import annotations

import sys
from operator import itemgetter
from types import FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: What packages replace to see, change or stop a request: module, class, attributes.
_WATCHED = (
    (
        "botocore.client",
        "BaseClient",
        ("__init__", "__getattr__", "_make_api_call", "_make_request", "_convert_to_request_dict"),
    ),
    ("botocore.client", "ClientCreator", ("create_client", "_create_api_method")),
    (
        "botocore.endpoint",
        "Endpoint",
        (
            *("make_request", "create_request", "prepare_request", "_send_request"),
            *("_get_response", "_do_get_response", "_send"),
        ),
    ),
    ("botocore.session", "Session", ("__init__", "create_client", "get_credentials")),
    ("botocore.signers", "RequestSigner", ("handler", "sign")),
    ("botocore.httpsession", "URLLib3Session", ("__init__", "send")),
    ("botocore.awsrequest", "AWSHTTPConnectionPool", ("ConnectionCls",)),
    ("botocore.awsrequest", "AWSHTTPSConnectionPool", ("ConnectionCls",)),
    ("botocore.parsers", "ResponseParser", ("parse",)),
    ("boto3.session", "Session", ("__init__", "client")),
    ("urllib3.connectionpool", "HTTPConnectionPool", ("urlopen", "_make_request")),
    ("urllib3.connection", "HTTPConnection", ("connect", "request", "_new_conn")),
    (
        "http.client",
        "HTTPConnection",
        ("connect", "request", "_send_request", "putrequest", "endheaders", "send", "getresponse"),
    ),
)
#: Modules that wait for the import of others, and the attributes that lead to their lists.
_WAITING = (
    ("wrapt.importer", ("_post_import_hooks",)),
    ("wrapt.importer", ("_import_hooks",)),
    ("ddtrace.internal.module", ("ModuleWatchdog", "_instance", "_hook_map")),
    ("newrelic.api.import_hook", ("_import_hooks",)),
)
_AWAITED = ("botocore", "boto3")
#: Modules of real socket classes. Others raise in tests, or answer without a network.
_SOCKETS = ("socket", "_socket", "gevent._socket3")


class _State:
    """The last look that found no hook."""

    #: How many modules there were when the looks were made; -1: make them anew.
    modules = -1
    #: Functions that get all watched attributes at once, what they get them from, and the result.
    looks: list[tuple[Callable[[Any], Any], Any]] = []
    found: list[Any] = []
    #: Handlers that a package of mocks has added to botocore's, and enables at times.
    foreign_handlers: list[Any] = []


def hook() -> str:
    """Return the name of what has hooked into botocore or the network; "" for nothing."""
    modules = sys.modules
    if len(modules) != _State.modules:
        looks, is_complete = _looks()
        _State.looks, _State.found = looks, []
        _State.modules = len(modules) if is_complete else -1
    try:
        found = [look(attributes) for look, attributes in _State.looks]
    except LookupError:
        found = []
    handlers = getattr(modules.get("botocore.handlers"), "BUILTIN_HANDLERS", ())
    found.append((len(handlers), handlers[-1] if handlers else None))
    if found != _State.found:
        if name := _changed():
            return name
        foreign = [entry[1] for entry in handlers if _package(_module(entry[1])) != "botocore"]
        _State.found, _State.foreign_handlers = found, foreign
    for handler in _State.foreign_handlers:
        if getattr(handler, "enabled", True):
            return f"a handler of {_module(handler)}"
    sockets = getattr(modules.get("socket"), "socket", None)
    if sockets is not None and sockets.__module__ not in _SOCKETS:
        return str(sockets.__module__)
    return _waiting() if modules.get("botocore.client") is None else ""


def _looks() -> tuple[list[tuple[Callable[[Any], Any], Any]], bool]:
    """Return how to get the watched attributes; False if another thread is importing some."""
    looks: list[tuple[Callable[[Any], Any], Any]] = []
    is_complete = True
    for name, owner, attributes in _WATCHED:
        module = sys.modules.get(name)
        owned = getattr(module, owner, None)
        if owned is not None:
            looks.append((itemgetter(owner), vars(module)))
            present = [attribute for attribute in attributes if attribute in vars(owned)]
            if present:
                looks.append((itemgetter(*present), vars(owned)))
        elif module is not None:
            is_complete = False
    return looks, is_complete


def _changed() -> str:
    """Return the first watched attribute that its own module has not defined; "" for none."""
    for name, owner, attributes in _WATCHED:
        module = sys.modules.get(name)
        owned = getattr(module, owner, None)
        if module is None or owned is None:
            continue
        if not isinstance(owned, type) or owned.__module__ != name:
            return f"{name}.{owner}"
        for attribute in attributes:
            value = vars(owned).get(attribute)
            if value is not None and _package(_defined_in(value)) != _package(name):
                return f"{owner}.{attribute}"
    return ""


def _defined_in(value: Any) -> str:
    """Return the name of the module that defines a function or class; "" for any other object.

    A wrapper copies the name of what it wraps, but not its globals. A watched attribute that is
    neither function nor class is a wrapper, so "" never fits.
    """
    if type(value) is FunctionType:
        return str(value.__globals__.get("__name__"))
    return value.__module__ if isinstance(value, type) else ""


def _package(module: str) -> str:
    return module.partition(".")[0]


def _waiting() -> str:
    """Return what waits for the import of botocore; "" for nothing."""
    for name, attributes in _WAITING:
        awaited: Any = sys.modules.get(name)
        for attribute in attributes:
            awaited = getattr(awaited, attribute, None)
        if awaited and any(_package(str(module)) in _AWAITED for module in [*awaited]):
            return f"{_package(name)}, which waits for botocore"
    return ""


def _module(handler: Any) -> str:
    return str(getattr(handler, "__module__", None) or type(handler).__module__)
