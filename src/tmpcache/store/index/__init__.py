"""The index file: its tables, its transactions, its change counter."""

#: Of the tables, and of all that lies beside the index: see :mod:`.root` for what follows from it.
FORMAT = 4
