"""What is certain of a kernel predictor, whatever an attacker does: to its training labels, to its test images.

`run/measure.py` calls one function for each kind of analysis:

    label_flips(target, influence, train_labels, labels, classes, flips)      # kind: label_flips
"""
