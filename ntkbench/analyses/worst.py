"""The worst case over several attacks."""

WORST = "worst"
"""In the place of an attack's id, which no attack may have: each test point under the worst of all attacks."""
