"""Opening, listing and removing files in a directory that strangers may have filled."""
