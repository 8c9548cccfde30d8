"""The worst case over several attacks."""

WORST = "worst"
"""In the place of an attack's id, which no attack may have: for each test point, the worst over an analysis's attacks."""
