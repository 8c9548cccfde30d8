"""ntkbench: a declarative benchmark of what the Neural Tangent Kernel says about adversarial robustness."""

__version__ = "0.1.0"
