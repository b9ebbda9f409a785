"""A small shared key-value state in S3, read from the disk of each function; see README.md."""
