"""Measure what holds for a kernel predictor whatever an attacker does to its training labels or to a test image.

`run/measure.py` calls one function for each kind of analysis:

    label_flips(fitted, tests, labels, (1, 2, 5), tile_bytes=5e8)                    # kind: label_flips
    certificate(fitted, tests, labels, balls.Linf(), budgets, tile_bytes=5e8)        # kind: certificate
"""
