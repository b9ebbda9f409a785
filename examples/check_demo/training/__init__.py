"""Teaching the recogniser's network what characters look like under pen strokes.

``python -m examples.check_demo.training`` draws checks as no tier of the specimens has them
(`practice`), cuts out what the recogniser sees at each position, with what is printed there
(`lessons`), and trains the network on that (`learn`, with JAX).
"""
