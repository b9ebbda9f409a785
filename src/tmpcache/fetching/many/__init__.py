"""Many objects in one call: fetch_many, fetch_prefix and warm, by one kind of worker pool."""
