"""A check scanner: S3 upload events in, small archived copies and a located MICR band out.

Run the demo from the repository root with ``python -m examples.check_scanner``.
"""
