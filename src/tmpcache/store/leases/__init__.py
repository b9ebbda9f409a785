"""Sessions tell which processes are alive, and leases tell which blobs they use."""
