"""Runnable examples: small, whole programs built on tmpcache."""
