"""An experiment that goes through every stage in moments, and what must be true of a store that a fault has hit."""

import warnings
from collections.abc import Sequence

from ntkbench.plan.runs import Run
from ntkbench.store import lookup
from ntkbench.store.store import Store, StoreWarning
from tests.examples import tiny

SPEC = """
ntkbench: 1
name: stages
data: {dataset: {kind: two_gaussians, dim: 6}, n_train: 12, n_test: 10}
architecture: {kind: fc, depth: 1}
width: 8
training: {mode: standard, epochs: 12, batch_size: 4}
kernels:
  limit: {kind: infinite}
  start: {kind: empirical, at: init, ridge: 0.1}
attacks:
  ntk: {kind: fgsm, source: limit, eps: 8/255}
  own: {kind: fgsm, source: self, eps: 8/255}
  noise: {kind: random_sign, eps: 8/255}
analyses:
  accuracy: {kind: accuracy, target: start, attacks: [noise]}
  transfer: {kind: transfer, attack: ntk, ceiling: own, floor: noise}
  eigenspace: {kind: eigenspace, target: limit, attack: ntk, features: 2, truncations: [2], groups: 1}
  drift: {kind: drift, snapshots: [0, 4, 12], probe: {n: 6}}
matrix:
  regime:
    standard: {training.mode: standard}
    adversarial:
      training.mode: adversarial
      training.attack: {kind: pgd, eps: 8/255, steps: 2, start: uniform}
      training.linearize_at: 2
seeds: 2
run: {checkpoint_every: 3}
"""

ONE_RUN = """
ntkbench: 1
name: one
data: {dataset: {kind: two_gaussians, dim: 6}, n_train: 12, n_test: 10}
architecture: {kind: fc, depth: 1}
width: 8
training: {mode: adversarial, attack: {kind: fgsm, eps: 8/255}, epochs: 4, batch_size: 4, linearize_at: 2}
kernels:
  limit: {kind: infinite}
  middle: {kind: empirical, at: 3, ridge: 0.1}
attacks:
  ntk: {kind: fgsm, source: limit, eps: 8/255}
analyses:
  accuracy: {kind: accuracy, target: middle}
  transfer: {kind: transfer, attack: ntk}
run: {checkpoint_every: 1}
"""
"""a file of every kind, and nothing that takes long: a training in two phases, a snapshot, checkpoints"""


def finished(store: Store, runs: Sequence[Run]) -> list[Run]:
    """Those that no later command may repeat."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StoreWarning)
        return [run for run in runs if not lookup.is_pending(store, run, retry=True)]


def files(store: Store, runs: Sequence[Run]) -> dict[str, tuple[int, bytes]]:
    """What lies there of these runs: content and time of change."""
    names = {path.name for run in runs for path in (store.record(run.id), store.arrays(run.id))}
    return {name: file for name, file in tiny.files(store.records).items() if name in names}
