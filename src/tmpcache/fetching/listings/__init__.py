"""A listing in S3 itself confirms copies on all machines, for one request each."""
