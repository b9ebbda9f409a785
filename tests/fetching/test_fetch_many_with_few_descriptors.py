"""A process that may open few files: it fetches with fewer threads, or says what is the matter."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.handmade import Answer, Asked, handmade, object_answer
from support.origins import through_each_origin
from support.processes import spawn

pytestmark = through_each_origin

COUNT = 1000


def answer(asked: Asked) -> Answer:
    if "list-type" not in asked.query:
        return object_answer(asked, asked.path.encode() * 100)
    found = "".join(f"<Contents><Key>k/{n}</Key><Size>1</Size></Contents>" for n in range(COUNT))
    xml = f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
    return Answer(200, xml.encode(), {"Content-Type": "application/xml"})


@pytest.mark.parametrize("verb", ["fetch_many", "fetch_prefix"])
@pytest.mark.parametrize("limit", [100, 40])
def test_many_new_objects_with_few_descriptors(
    root: Path, monkeypatch: pytest.MonkeyPatch, verb: str, limit: int
) -> None:
    """Partials locked ahead and connections are as many as the process may open."""
    code = """
        import resource, tmpcache
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        cache = tmpcache.Cache(root, quota="64 MiB")
        if verb == "fetch_many":
            paths = cache.fetch_many("models", [f"k/{n}" for n in range(objects)])
        else:
            paths = [*cache.fetch_prefix("models", "k/").values()]
        say(sum(path.read_bytes() == f"/models/{path.key}".encode() * 100 for path in paths))
        say(cache.stats().damaged)
    """
    with handmade(answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        with spawn(code, root=str(root), verb=verb, limit=limit, objects=COUNT) as child:
            assert child.hear() == COUNT
            assert child.hear() == {}


def test_descriptors_that_others_take_meanwhile(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of those that were free at the start go to another thread: who fails tries again."""
    code = """
        import resource, tmpcache
        resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120))
        cache, held = tmpcache.Cache(root, quota="64 MiB"), []
        cache.fetch("models", "k/first")  # all modules are loaded

        def take(done, total, received):
            while not done and len(os.listdir("/dev/fd")) < 110 and len(held) < 60:
                held.append(os.open(os.devnull, os.O_RDONLY))
            if done > total // 2:
                while held:
                    os.close(held.pop())

        paths = cache.fetch_many("models", [f"k/{n}" for n in range(objects)], progress=take)
        say(len(paths))
    """
    with handmade(answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        with spawn(code, root=str(root), objects=COUNT) as child:
            assert child.hear() == COUNT


def test_no_descriptor_at_all_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
        import resource, tmpcache
        from contextlib import suppress
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        cache, held = tmpcache.Cache(root, quota="64 MiB"), []
        cache.fetch_many("models", ["k/first", "k/second"])  # all modules are loaded
        with suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        found = cache.fetch_many("models", ["k/1", "k/2", "k/3"], return_exceptions=True)
        for fd in held:
            os.close(fd)
        say([isinstance(one, tmpcache.errors.TmpCacheError) and str(one) for one in found])
        say(len(cache.fetch_many("models", ["k/1", "k/2", "k/3"])))
    """
    with handmade(answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        with spawn(code, root=str(root)) as child:
            for said in child.hear():
                assert "too many open files: close some, or raise their limit (ulimit -n)" in said
            assert child.hear() == 3
