"""The science: pure functions and PyTrees on arrays."""
