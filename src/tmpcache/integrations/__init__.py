"""What other libraries use tmpcache through, and what they take of its events."""
