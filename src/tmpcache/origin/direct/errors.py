"""The error for what the direct origin does not handle."""

from __future__ import annotations


class NotUnderstoodError(Exception):
    """Only boto3 can tell what a response means; the text says why, in a few words."""
