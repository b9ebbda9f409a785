"""A pack in S3 itself has many objects in one: a cold machine gets them with one request."""
