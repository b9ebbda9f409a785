"""Download of one object into a sink: over one connection, or over several for a large object."""
