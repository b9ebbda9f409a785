"""Whether somebody has put a hand on botocore: a mock, a recorder, a tracer.

Then requests must go through it: a unit test under moto's ``mock_aws`` must never reach a network,
and a trace that lacks requests is worse than none. So before each question the functions that such
packages replace are compared with what was found to be botocore's own (3 µs). While botocore has
not been imported, nobody has changed it; but some wait for that moment.
"""

from __future__ import annotations

import sys
from operator import itemgetter
from types import FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: What is replaced in order to see, change or keep back a request: module, class, attributes.
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
#: Modules that wait for the import of another one, the way to their lists, and what is in there.
_WAITING = (
    ("wrapt.importer", ("_post_import_hooks",)),
    ("wrapt.importer", ("_import_hooks",)),
    ("ddtrace.internal.module", ("ModuleWatchdog", "_instance", "_hook_map")),
    ("newrelic.api.import_hook", ("_import_hooks",)),
)
_AWAITED = ("botocore", "boto3")
#: Sockets that are sockets; others are traps for tests, or answer by themselves.
_SOCKETS = ("socket", "_socket", "gevent._socket3")


class _State:
    """What was looked at last and was nobody's."""

    #: How many modules there were when it was found out which of the watched ones are there.
    modules = -1
    #: What gets all watched attributes at once, and of what; and what they were.
    looks: list[tuple[Callable[[Any], Any], Any]] = []
    found: list[Any] = []
    #: Handlers that a package of mocks has put among botocore's, and switches on at times.
    asleep: list[Any] = []


def hook() -> str:
    """The name of what has been put in the way of requests; "" for nothing."""
    modules = sys.modules
    if len(modules) != _State.modules:
        looks, is_all = _looks()
        _State.looks, _State.found = looks, []
        _State.modules = len(modules) if is_all else -1
    try:
        found = [look(place) for look, place in _State.looks]
    except LookupError:
        found = []
    handlers = getattr(modules.get("botocore.handlers"), "BUILTIN_HANDLERS", ())
    found.append((len(handlers), handlers[-1] if handlers else None))
    if found != _State.found:
        if name := _changed():
            return name
        foreign = [entry[1] for entry in handlers if _package(_module(entry[1])) != "botocore"]
        _State.found, _State.asleep = found, foreign
    for handler in _State.asleep:
        if getattr(handler, "enabled", True):
            return f"a handler of {_module(handler)}"
    sockets = getattr(modules.get("socket"), "socket", None)
    if sockets is not None and sockets.__module__ not in _SOCKETS:
        return str(sockets.__module__)
    return _waiting() if modules.get("botocore.client") is None else ""


def _looks() -> tuple[list[tuple[Callable[[Any], Any], Any]], bool]:
    """How to look at what is watched; and whether no other thread is just importing some of it."""
    looks: list[tuple[Callable[[Any], Any], Any]] = []
    is_all = True
    for name, owner, attributes in _WATCHED:
        module = sys.modules.get(name)
        owned = getattr(module, owner, None)
        if owned is not None:
            looks.append((itemgetter(owner), vars(module)))
            there = [attribute for attribute in attributes if attribute in vars(owned)]
            if there:
                looks.append((itemgetter(*there), vars(owned)))
        elif module is not None:
            is_all = False
    return looks, is_all


def _changed() -> str:
    """The first of the watched attributes that is not what its module has defined."""
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
    """The module whose code it is: a wrapper takes over names, but not where it looks up its own.

    Wrappers of other kinds than functions and classes are nobody's of those that are watched.
    """
    if type(value) is FunctionType:
        return str(value.__globals__.get("__name__"))
    return value.__module__ if isinstance(value, type) else ""


def _package(module: str) -> str:
    return module.partition(".")[0]


def _waiting() -> str:
    for name, way in _WAITING:
        place: Any = sys.modules.get(name)
        for step in way:
            place = getattr(place, step, None)
        if place and any(_package(str(awaited)) in _AWAITED for awaited in [*place]):
            return f"{_package(name)}, which waits for botocore"
    return ""


def _module(handler: Any) -> str:
    return str(getattr(handler, "__module__", None) or type(handler).__module__)
