"""Words turned into numbers: for each section of a spec the file that builds its arrays, networks, kernels or attacks.

`run/predictors.py`, `run/shared.py` and `run/group.py` call it with validated cells.

    dataset = examples(cell.data, roots)
    nets = networks(cell, seeds=(0, 1), shape=dataset.train.images.shape[1:], outputs=outputs(dataset))
"""
