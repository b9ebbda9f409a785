"""Which processes are alive, and which blobs they use."""
