"""S3 through obstore, a client in Rust."""
