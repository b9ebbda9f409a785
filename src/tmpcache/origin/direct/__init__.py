"""S3 over connections of our own, signed here: neither boto3 nor botocore is imported."""
