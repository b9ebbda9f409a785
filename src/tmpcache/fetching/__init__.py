"""Answers fetches. This package alone knows both the store and the origin."""
