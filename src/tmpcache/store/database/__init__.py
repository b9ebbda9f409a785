"""One root, as one process uses it: transactions on the index, recovery, the session and leases."""
