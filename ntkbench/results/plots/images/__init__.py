"""Draw images: test images before and after an attack, and beside the gradients of features.

figure = pairs.figure(clean, adversarial, before=["coat", ...], after=["pullover", ...])
"""
