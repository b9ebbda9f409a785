"""A response body becomes a file: over one connection, or over several for a large object."""
