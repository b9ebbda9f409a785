"""What the index file holds: its tables, and how large it may become."""
