"""The lake: builds as Iceberg tables over a folder or an S3 bucket, for more than one machine."""
