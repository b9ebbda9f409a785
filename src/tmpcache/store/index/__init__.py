"""The index file: its tables, its transactions, its change counter."""
