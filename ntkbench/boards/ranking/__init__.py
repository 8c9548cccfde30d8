"""Rank the entries of a board by tests of all pairs."""
