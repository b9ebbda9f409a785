"""One invocation of a function: its deadline, its scratch directories, its keep-warm ping."""
