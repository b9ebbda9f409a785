"""The index: an SQLite file of objects, blobs, validations and downloads, and its change counter.

`schema` has the tables, `index` the connection and its transactions, `size` how large the file may
become, `staging` what waits to be merged into the tables, `commit_marks` whether anything has
changed.
"""

#: The format of the tables and of all files beside the index: see :mod:`..root` for what follows.
FORMAT = 4
