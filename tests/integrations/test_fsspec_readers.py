"""What pandas, pyarrow, polars, xarray with zarr, dask and PIL read through ``tmpcache://``.

Each reader reads twice: within `max_age` the second read asks nobody; else it asks, receives no
object again, and sees what has changed meanwhile.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import fsspec
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import xarray as xr
import zarr
from integrations.conftest import MakeFs
from PIL import Image

from tmpcache.integrations.fsspec import TmpCacheFileSystem
from tmpcache.testing import Bucket

Options = dict[str, Any]
READERS: dict[str, Callable[[Options], int]] = {}


def reader(read: Callable[[Options], int]) -> Callable[[Options], int]:
    """Add a function that reads the number which :func:`store` has stored."""
    READERS[read.__name__] = read
    return read


def store(bucket: Bucket, number: int) -> None:
    """Store the number as Parquet, CSV, Zarr and an image."""
    frame = pd.DataFrame({"number": [number, 0]})
    for key in ("table.parquet", "tables/1.parquet"):
        bucket.put(key, frame.to_parquet())
    bucket.put("tables/2.parquet", pd.DataFrame({"number": [0]}).to_parquet())
    bucket.put("lines.csv", frame.to_csv(index=False).encode())
    image = io.BytesIO()
    Image.new("RGB", (8, 8), (number, 0, 0)).save(image, "PNG")
    bucket.put("image.png", image.getvalue())
    memory = zarr.storage.MemoryStore()
    array = xr.Dataset({"number": ("x", [number - 1, 1])}).chunk({"x": 1})  # no zeros: see below
    array.to_zarr(memory, zarr_format=3, consolidated=False)
    for key, value in memory._store_dict.items():
        bucket.put(f"array.zarr/{key}", value.to_bytes())


def file_system(options: Options) -> TmpCacheFileSystem:
    fs: TmpCacheFileSystem = fsspec.filesystem("tmpcache", **options)
    return fs


@reader
def pandas_parquet(options: Options) -> int:
    frame = pd.read_parquet("tmpcache://models/table.parquet", storage_options=options)
    return int(frame["number"].sum())


@reader
def pandas_csv(options: Options) -> int:
    frame = pd.read_csv("tmpcache://models/lines.csv", storage_options=options)
    return int(frame["number"].sum())


@reader
def pyarrow_table(options: Options) -> int:
    table = pq.read_table("models/table.parquet", filesystem=file_system(options))
    return sum(table["number"].to_pylist())


@reader
def pyarrow_dataset(options: Options) -> int:
    table = ds.dataset("models/tables", filesystem=file_system(options)).to_table()
    return sum(table["number"].to_pylist())


@reader
def polars_file(options: Options) -> int:
    with fsspec.open("tmpcache://models/table.parquet", **options) as file:
        return int(pl.read_parquet(file)["number"].sum())


@reader
def polars_scan(options: Options) -> int:
    paths = fsspec.open_local("tmpcache://models/tables/*.parquet", **options)
    return int(pl.scan_parquet(paths).collect()["number"].sum())


@reader
def xarray_zarr(options: Options) -> int:
    # A chunk of zeros is not stored, and S3 is asked each time for what there is not. So it is for
    # files of other formats of Zarr, if the format is not given.
    url, how = "tmpcache://models/array.zarr", {"zarr_format": 3, "consolidated": False}
    with xr.open_zarr(url, storage_options=options, **how) as found:
        return int(found["number"].sum())


@reader
def dask_parquet(options: Options) -> int:
    import dask.dataframe as dd

    frame = dd.read_parquet("tmpcache://models/tables/*.parquet", storage_options=options)
    return int(frame["number"].sum().compute(scheduler="threads"))


@reader
def dask_csv(options: Options) -> int:
    import dask.bag as db

    lines = db.read_text("tmpcache://models/*.csv", storage_options=options)
    with dask.config.set(scheduler="threads"):
        return sum(int(line) for line in lines.compute()[1:])


@reader
def pil(options: Options) -> int:
    with fsspec.open("tmpcache://models/image.png", **options) as file, Image.open(file) as image:
        return image.tobytes()[0]  # the red of the first pixel


def objects(bucket: Bucket) -> list[tuple[str, int]]:
    """Return path and status of all GETs of objects."""
    return [(get.path, get.status) for get in bucket.server.gets() if get.path != "/models"]


@pytest.mark.parametrize("name", READERS)
def test_a_second_read_within_max_age_asks_nobody(
    name: str, options: Options, make_fs: MakeFs, bucket: Bucket
) -> None:
    store(bucket, 7)
    assert READERS[name](options) == 7
    bucket.server.forget()
    assert READERS[name](options) == 7
    assert [(one.method, one.path) for one in bucket.server.requests] == []


@pytest.mark.parametrize("name", READERS)
def test_a_second_read_asks_and_receives_only_what_has_changed(
    name: str, root: Path, make_fs: MakeFs, bucket: Bucket
) -> None:
    options = {"root": str(root), "quota": "256 MiB"}
    store(bucket, 7)
    assert READERS[name](options) == 7
    downloads = {path for path, status in objects(bucket) if status == 200}
    bucket.server.forget()
    assert READERS[name](options) == 7
    second = objects(bucket)
    assert {path for path, status in second if status == 304} == downloads
    assert not [path for path, status in second if status == 200]
    store(bucket, 9)
    assert READERS[name](options) == 9


def test_what_pandas_and_xarray_write_is_read_again(
    options: Options, make_fs: MakeFs, bucket: Bucket
) -> None:
    frame = pd.DataFrame({"number": [7]})
    frame.to_parquet("tmpcache://models/new.parquet", storage_options=options)
    array = xr.Dataset({"number": ("x", [7])})
    how: Any = {"zarr_format": 3, "consolidated": False, "storage_options": options}
    array.to_zarr("tmpcache://models/new.zarr", mode="w", **how)
    bucket.server.forget()
    again = pd.read_parquet("tmpcache://models/new.parquet", storage_options=options)
    assert again.equals(frame)
    with xr.open_zarr("tmpcache://models/new.zarr", **how) as found:
        assert found.equals(array)
    assert [one for one in objects(bucket) if one[1] == 200] == []
