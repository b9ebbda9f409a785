"""Opening, listing and removing files in directories that other programs may have changed."""
