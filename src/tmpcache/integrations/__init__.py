"""What other libraries use tmpcache through. Each module needs an extra of the same name."""
