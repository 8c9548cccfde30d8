"""Reserved ids: records use them for results of their own, so that no attack or kernel of a spec may have them."""

WORST = "worst"
"""in the place of an attack's id: the worst case over all attacks for each test point"""
LINEAR = "linear"
"""in the place of a kernel's id: the linear kernel <x, x'>, the control of every comparison of kernels"""
