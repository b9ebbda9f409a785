"""A check scanner: S3 upload events in; deposits, questions for people and refusals out.

The folder is made to be copied: its imports are relative, and it imports nothing beside it but
installed packages. ``python -m examples.check_scanner --help`` names its commands.
"""
