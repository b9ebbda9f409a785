"""From the download lock of an object to its published blob."""
