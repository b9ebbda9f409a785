"""S3 objects through fsspec, read from local copies: ``tmpcache://bucket/key``.

Needs ``pip install 'tmpcache[fsspec]'``. fsspec finds the class by its entry point, so programs
that take fsspec URLs (pandas, pyarrow, dask, …) need no import::

    pandas.read_parquet("tmpcache://tables/2026.parquet", storage_options={"max_age": 300})

:mod:`.file_system` has the class and what reads, :mod:`.names` what answers about names,
:mod:`.writes` what changes objects, :mod:`.cached_objects` what these share, :mod:`.listing` the
questions to S3, :mod:`.kept_listings` their answers, :mod:`.files` the open files, :mod:`.options`
the storage options, :mod:`.s3fs_options` those of s3fs in a chained URL
(``tmpcache::s3://bucket/key``), and :mod:`.kept_leases` the leases of ``open_local``.
"""

from .file_system import TmpCacheFileSystem

__all__ = ["TmpCacheFileSystem"]
