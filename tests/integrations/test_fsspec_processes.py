"""The file system in other processes: unpickled by workers, forked and spawned.

torch's DataLoader pickles a dataset for spawned workers, and leaves it as it is in forked ones. The
workers here are made by multiprocessing in these two ways, as torch itself is too large to test
with (more than 500 MB).
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
from typing import Any

import fsspec
import pytest
from integrations.conftest import MakeFs

import tmpcache
from tmpcache import ConfigError
from tmpcache.integrations.fsspec import TmpCacheFileSystem
from tmpcache.testing import Bucket, S3Server


class Dataset:
    """A map-style dataset as torch has them: a length, and items by index."""

    def __init__(self, fs: TmpCacheFileSystem, paths: list[str]) -> None:
        self.fs, self.paths = fs, paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> bytes:
        with self.fs.open(self.paths[index]) as file:
            return bytes(file.read())


def work(dataset: Dataset, indexes: list[int], results: Any) -> None:
    """What a worker of a DataLoader does."""
    results.put((os.getpid(), [dataset[index] for index in indexes]))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_what_another_process_has_fetched(
    method: str, patient: TmpCacheFileSystem, bucket: Bucket
) -> None:
    paths = [f"models/{number}" for number in range(6)]
    for path in paths:
        bucket.put(path.removeprefix("models/"), path.encode())
    dataset = Dataset(patient, paths)
    assert [dataset[index] for index in range(len(dataset))] == [path.encode() for path in paths]
    bucket.server.forget()
    context: Any = multiprocessing.get_context(method)
    results = context.SimpleQueue()
    parts = [[0, 2, 4], [1, 3, 5]]
    workers = [context.Process(target=work, args=(dataset, part, results)) for part in parts]
    for worker in workers:
        worker.start()
    found = dict(results.get() for _ in workers)
    for worker in workers:
        worker.join()
    assert sorted(item for part in found.values() for item in part) == [
        path.encode() for path in paths
    ]
    assert os.getpid() not in found
    assert bucket.server.requests == []


def test_a_file_system_pickles_by_its_options(patient: TmpCacheFileSystem) -> None:
    again = pickle.loads(pickle.dumps(patient))
    assert again == patient
    assert again.cache is patient.cache


def test_a_file_system_with_a_client_does_not_pickle(make_fs: MakeFs, s3: S3Server) -> None:
    client = s3.client()
    fs = make_fs(client=client)
    with pytest.raises(ConfigError, match="client= cannot be pickled"):
        pickle.dumps(fs)
    client.close()


def test_workers_of_dask_read_through_the_same_cache(
    options: dict[str, Any], make_fs: MakeFs, bucket: Bucket
) -> None:
    import dask.bag as db

    for key in ("1.txt", "2.txt"):
        bucket.put(key, key.encode())
    lines = db.read_text("tmpcache://models/*.txt", storage_options=options)
    assert lines.compute(scheduler="processes", num_workers=2) == ["1.txt", "2.txt"]
    bucket.server.forget()
    with fsspec.open("tmpcache://models/1.txt", **options) as file:
        assert file.read() == b"1.txt"
    assert bucket.server.requests == []
    assert tmpcache.Cache(options["root"]).peek("models", "2.txt") is not None
