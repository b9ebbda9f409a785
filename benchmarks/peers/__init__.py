"""tmpcache beside its peers: see :mod:`.compare`. Adapters are imported without tmpcache."""
