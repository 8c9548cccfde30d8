"""Names that records give by themselves, and that no attack and no kernel of a spec may have."""

WORST = "worst"
"""In the place of an attack's id: each test point under the worst of all attacks."""
LINEAR = "linear"
"""In the place of a kernel's id: <x, x'>, which every comparison of kernels has beside it."""
