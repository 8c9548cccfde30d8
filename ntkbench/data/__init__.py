"""Data sets as NumPy arrays: readers of the layouts on disk, checksummed download, the bundled subset.

`run/build/data.py` calls `load`; planning asks `catalog` for classes, shapes and counts and opens no file.

    whole = load("fashion_mnist_mini", search_roots(None))
    whole.train.images.shape      # (5000, 28, 28, 1), uint8
"""
