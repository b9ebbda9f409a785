"""What reads a check: the MICR line (`micr`, with `e13b` and `model`), the amount (`courtesy`).

The scanner knows it through `reader` alone. It knows nothing of the scanner but what a reading is.
"""
