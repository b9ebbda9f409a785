"""One event that a function handles: its deadline, scratch directories and keep-warm ping."""
