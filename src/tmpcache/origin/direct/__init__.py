"""S3 over connections of its own, with requests that it signs itself, without boto3."""
