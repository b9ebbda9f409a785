"""A cache that is warm before the first fetch: in Dask, in Kubernetes, in Lambda."""
