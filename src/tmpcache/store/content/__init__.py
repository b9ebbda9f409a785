"""Blobs, and the bytes they take up: their names, the quota, eviction, reconciliation."""
