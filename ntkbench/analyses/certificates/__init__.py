"""What is certain of a kernel predictor, whatever an attacker does: to its training labels, to its test images.

`run/measure.py` calls one function for each kind of analysis:

    label_flips(fitted, tests, labels, (1, 2, 5), tile_bytes=5e8)                    # kind: label_flips
    certificate(fitted, tests, labels, balls.Linf(), budgets, tile_bytes=5e8)        # kind: certificate
"""
