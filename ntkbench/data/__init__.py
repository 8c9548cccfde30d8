"""Data sets as NumPy arrays: readers of the layouts on disk, checksummed download, the bundled subset."""
