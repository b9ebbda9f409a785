"""A cache works whatever the umask, as an ordinary user, who must not lock himself out."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from support.processes import spawn

from tmpcache.testing import Bucket


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o177, 0o277, 0o777], ids="{:04o}".format)
def test_every_verb_works_under_any_umask(root: Path, bucket: Bucket, umask: int) -> None:
    bucket.put("small", b"x" * 100)
    bucket.put("large", b"y" * (1 << 20))
    code = """
        import tmpcache
        os.umask(umask)
        for outcome in ("FETCHED", "REVALIDATED"):
            with tmpcache.Cache(root, quota="10 MB") as cache:
                assert cache.fetch("models", "small").outcome.name == outcome
                assert cache.fetch("models", "small", max_age=60).read_bytes() == b"x" * 100
                assert len(cache.fetch("models", "large").read_bytes()) == 1 << 20
                cache.put("models", "written", b"z" * 300_000)
                with cache.scratch() as work:
                    work.fetch("models", "small")
                    work.fetch("models", "small", name="mine", writable=True).write_bytes(b"1")
                    cache.fetch_prefix("models", "", into=work / "tree")
                assert cache.verify().damaged == ()
                cache.make_room("9 MB")
                cache.fetch("models", "small").release()
        say()
    """
    with spawn(code, root=str(root), umask=umask) as child:
        child.hear()
    for at, directories, files in os.walk(root):
        for name in directories:
            assert stat.S_IMODE(os.stat(f"{at}/{name}").st_mode) == 0o700
        for name in files:
            assert stat.S_IMODE(os.stat(f"{at}/{name}").st_mode) in (0o444, 0o600)
