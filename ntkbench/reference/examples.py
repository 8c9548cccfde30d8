"""Short examples of the sections of a spec, which the reference page docs/spec.md shows.

All of them together form one valid spec.
"""

from collections.abc import Mapping
from types import MappingProxyType

EXAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "data": """
data: {dataset: fashion_mnist_mini, classes: [pullover, coat], n_train: 500, n_test: 200}
""",
        "architecture": """
architecture: {kind: fc, depth: 2, activation: relu, b_std: 0.1}
""",
        "width": """
width: 512
""",
        "training": """
training:
  mode: adversarial
  loss: cross_entropy
  optimizer: {kind: adam, learning_rate: 1e-3, schedule: {kind: cosine}}
  epochs: 50
  batch_size: 50
  attack: {kind: pgd, eps: 4/255, steps: 5, start: uniform}
  warm_up: 5
""",
        "kernels": """
kernels:
  limit: {kind: infinite, time: inf}
  own: {kind: empirical, at: final, ridge: 1e-3}
""",
        "attacks": """
attacks:
  ntk: {kind: fgsm, source: limit, eps: [4/255, 8/255]}
  white: {kind: apgd, source: self, eps: [4/255, 8/255], steps: 50, restarts: 2}
  noise: {kind: random_sign, eps: [4/255, 8/255]}
""",
        "analyses": """
analyses:
  transfer: {kind: transfer, attack: ntk, ceiling: white, floor: noise}
  features: {kind: eigenspace, target: limit, attack: ntk}
  course: {kind: drift, snapshots: 10, probe: {n: 60}}
""",
        "numerics": """
numerics: {kernel: float64}
""",
        "matrix": """
matrix:
  width: [64, 512]
  regime:
    standard: {training.linearize_at: null}
    linearized: {training.linearize_at: 10}
  exclude: [{width: 64, regime: linearized}]
""",
        "run": """
run: {tile_bytes: 512MB, checkpoint_every: 10, timeout: 2h}
""",
        "smoke": """
smoke: {data: {n_train: 64, n_test: 32}, training: {epochs: 20}, seeds: 1}
""",
    }
)
"""YAML text by section"""
