"""Each peer behind the same few verbs, one file per peer, run in its own environment.

``python -m benchmarks.peers.adapters.NAME`` talks JSON lines; see :mod:`.protocol`.
"""
