"""S3 through obstore, a client for object stores in Rust."""
