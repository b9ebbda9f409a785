"""Many objects at a time: fetch_many, fetch_prefix and warm, on one pool of threads."""
