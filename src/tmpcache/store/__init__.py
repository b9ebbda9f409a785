"""Everything on disk: copies of objects under one root, shared by all processes that use it.

This package knows nothing of S3. An object's content lies in ``blobs/``, named by its hash; an
SQLite index records objects, blobs and reservations; :class:`.store.Store` is what others use.

Each layer imports only those before it: `filesystem`, `leases`, `index` (with `tables`,
`staged_copies` and `changes`), `root`, `content` (blobs, quota, eviction), `database`, `downloads`,
`store`, and beside each other `many_copies` and `maintenance`.

`index` is one connection to the SQLite file, and knows only statements. `database` is how the
threads and processes of a root share that file: transactions, waiting, recovery from damage.
"""

from .store import Store

__all__ = ["Store"]
