"""Makes forking a worker cheap: does all imports, and reads botocore's tables, before the first."""

from __future__ import annotations

import functools
import importlib
import pkgutil

import tmpcache


def warm_up() -> None:
    """Import all that a worker needs but obstore, whose threads would be lost in a fork."""
    for module in pkgutil.walk_packages(tmpcache.__path__, "tmpcache."):
        if not module.name.startswith(("tmpcache.testing", "tmpcache.origin.obstore.origin")):
            importlib.import_module(module.name)
    _share_tables()


def _share_tables() -> None:
    """Read botocore's tables once: that takes 90 of the 110 ms that making a client takes."""
    import boto3
    from botocore.loaders import JSONFileLoader, Loader

    read = functools.cache(JSONFileLoader().load_file)
    available = functools.cache(Loader().list_available_services)
    setattr(JSONFileLoader, "load_file", lambda self, path: read(path))  # noqa: B010
    setattr(Loader, "list_available_services", lambda self, type_name: available(type_name))  # noqa: B010
    boto3.Session().client("s3").close()
