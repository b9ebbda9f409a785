"""A check scanner: S3 upload events in; deposits, questions for people and refusals out.

Run the demo from the repository root with ``python -m examples.check_scanner``.
"""
