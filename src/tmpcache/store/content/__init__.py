"""The content under a root: blobs, the quota that bounds them, eviction, and crash recovery."""
