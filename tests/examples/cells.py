"""A spec, a cell that has something of everything, and another value for each of its fields."""

from collections.abc import Iterator
from typing import Any

from ntkbench.spec.cell import Cell

FULL: dict[str, Any] = {
    "data": {"dataset": "fashion_mnist", "classes": ["sneaker", "bag", "coat"], "n_train": 60, "n_test": 30},
    "architecture": {"kind": "fc", "depth": 2},
    "width": 64,
    "training": {"mode": "standard", "optimizer": {"kind": "sgd"}, "epochs": 20, "linearize_at": 0},
    "kernels": {
        "limit": {"kind": "infinite"},
        "standard": {"kind": "infinite", "architecture": {"kind": "fc", "parameterization": "standard"}},
        "first": {"kind": "empirical"},
    },
    "attacks": {
        "ntk": {"kind": "fgsm", "source": "limit", "eps": "8/255"},
        "own": {"kind": "pgd", "eps": "8/255"},
        "noise": {"kind": "random_sign", "eps": "8/255"},
    },
    "analyses": {
        "clean": {"kind": "accuracy", "attacks": ["own"]},
        "transfer": {"kind": "transfer", "attack": "ntk"},
        "grid": {"kind": "transfer_matrix", "attack": "own", "sources": ["self"], "targets": ["self"]},
        "eigen": {"kind": "eigenspace", "target": "limit", "attack": "ntk", "pictures": {}},
        "time": {"kind": "time", "target": "limit", "attack": "ntk"},
        "agree": {"kind": "consistency", "target": "limit", "against": ["standard"]},
        "certain": {"kind": "certificate", "target": "limit", "eps": "8/255"},
        "labels": {"kind": "label_flips", "target": "limit"},
        "drift": {"kind": "drift", "probe": {"n": 30}},
    },
    "numerics": {},
}


OTHER: dict[str, Any] = {
    "data.dataset.name": "fashion_mnist_mini",
    "data.classes": ["bag", "sneaker", "coat"],
    "data.n_train": 61,
    "data.n_test": 31,
    "data.subset": "first",
    "data.seed": 1,
    "data.test_seed": 1,
    "data.targets": "centered",
    "data.poison": {"kind": "random_sign", "eps": "8/255"},
    "architecture.depth": 3,
    "architecture.activation": "erf",
    "architecture.leak": 0.2,
    "architecture.W_std": 1.5,
    "architecture.b_std": None,
    "architecture.parameterization": "standard",
    "width": 65,
    "training.loss": "cross_entropy",
    "training.optimizer.learning_rate": 0.1,
    "training.optimizer.momentum": 0.9,
    "training.optimizer.nesterov": True,
    "training.optimizer.schedule": {"kind": "cosine"},
    "training.epochs": 21,
    "training.until": {"loss": 0.1},
    "training.batch_size": 20,
    "training.linearize_at": None,
    "training.centered": True,
    "kernels.limit.type": "nngp",
    "kernels.limit.architecture": {"kind": "fc", "depth": 7},
    "kernels.limit.time": 10.0,
    "kernels.limit.ridge": 0.1,
    "kernels.limit.fit": {"kind": "rkhs_adversarial", "delta": 0.1},
    "kernels.standard.type": "nngp",
    "kernels.standard.architecture.depth": 7,
    "kernels.standard.architecture.activation": "erf",
    "kernels.standard.architecture.leak": 0.2,
    "kernels.standard.architecture.W_std": 1.5,
    "kernels.standard.architecture.b_std": None,
    "kernels.standard.architecture.parameterization": "ntk",
    "kernels.standard.width": 128,
    "kernels.standard.time": 10.0,
    "kernels.standard.ridge": 0.1,
    "kernels.standard.fit": {"kind": "rkhs_adversarial", "delta": 0.1},
    "kernels.first.at": "final",
    "kernels.first.time": 10.0,
    "kernels.first.ridge": 0.1,
    "attacks.ntk.eps": ["4/255", "8/255"],
    "attacks.ntk.norm": "l2",
    "attacks.ntk.source": "standard",
    "attacks.ntk.loss": "cross_entropy",
    "attacks.ntk.labels": "predicted",
    "attacks.own.eps": "9/255",
    "attacks.own.norm": "l2",
    "attacks.own.source": "limit",
    "attacks.own.loss": "squared",
    "attacks.own.labels": "predicted",
    "attacks.own.steps": 11,
    "attacks.own.step_size": "1/255",
    "attacks.own.start": "uniform",
    "attacks.own.restarts": 2,
    "attacks.own.seed": 1,
    "attacks.noise.eps": 0.5,
    "attacks.noise.norm": "l2",
    "attacks.noise.seed": 1,
    "analyses.clean.target": "limit",
    "analyses.clean.attacks": ["own", "ntk"],
    "analyses.clean.gradient_norm": True,
    "analyses.transfer.attack": "own",
    "analyses.transfer.target": "first",
    "analyses.transfer.ceiling": "own",
    "analyses.transfer.floor": "noise",
    "analyses.grid.attack": "ntk",
    "analyses.grid.sources": ["self", "limit"],
    "analyses.grid.targets": ["first"],
    "analyses.grid.floor": "noise",
    "analyses.eigen.target": "first",
    "analyses.eigen.attack": "own",
    "analyses.eigen.features": [0, 3],
    "analyses.eigen.truncations": "all",
    "analyses.eigen.groups": [[0, 20], [20, 60]],
    "analyses.eigen.pictures.features": [0],
    "analyses.eigen.pictures.tests": [0],
    "analyses.eigen.pictures.groups": True,
    "analyses.time.target": "first",
    "analyses.time.attack": "own",
    "analyses.time.times": [0.5, "inf"],
    "analyses.time.ridges": [0, 0.1],
    "analyses.agree.target": "standard",
    "analyses.agree.against": ["standard", "limit"],
    "analyses.agree.top": [1, 2],
    "analyses.agree.features": [0, 1],
    "analyses.agree.attack": "ntk",
    "analyses.certain.target": "standard",
    "analyses.certain.eps": ["4/255", "8/255"],
    "analyses.certain.norm": "l2",
    "analyses.certain.attack": "ntk",
    "analyses.labels.target": "standard",
    "analyses.labels.flips": [1, 3],
    "analyses.drift.snapshots": [0, "1/4", 20],
    "analyses.drift.probe.n": 27,
    "analyses.drift.probe.split": "test",
    "analyses.drift.layout": "trace",
    "analyses.drift.top": [3],
    "analyses.drift.keep_kernels": "ends",
    "analyses.drift.accuracy_on": ["test", "train"],
    "analyses.drift.accuracy_at": "final",
    "analyses.drift.attack": "own",
    "analyses.drift.adversarial_probe": "own",
    "numerics.kernel": "float32",
    "numerics.network": "float64",
}
"""another value for every field of the full cell"""

EXAMPLE = """
ntkbench: 1
name: example
track: transfer-fashion@1
data: {dataset: fashion_mnist_mini, classes: [sneaker, ankle_boot], n_train: 100, n_test: 50}
architecture: {kind: fc, depth: 2}
width: 512
training: {mode: standard, epochs: 20, linearize_at: null}
kernels:
  limit: {kind: infinite, time: inf, ridge: 0}
attacks:
  ntk: {kind: fgsm, source: limit, eps: [2/255, 8/255]}
  own: {kind: fgsm, source: self, eps: [8/255, 2/255]}
  noise: {kind: random_sign, eps: [2/255, 16/510]}
analyses:
  transfer: {kind: transfer, attack: ntk, ceiling: own, floor: noise}
matrix:
  width: [32, 128]
  regime:
    standard: {training.linearize_at: null}
    linearized: {training.linearize_at: 0}
  exclude: [{width: 128, regime: standard}]
seeds: 3
run: {tile_bytes: 64MB, timeout: 30m}
smoke: {data: {n_train: 20}, training: {epochs: 2}, matrix: {width: [8, 16]}, seeds: [4]}
"""


def cell(**sections: Any) -> Cell:
    """The full cell with some sections replaced."""
    return Cell.model_validate({**FULL, **sections})


def changed(path: str, value: Any, base: Any = None) -> dict[str, Any]:
    """The full cell as plain values, with another value at `path`."""
    head, _, rest = path.partition(".")
    base = FULL if base is None else base
    return {**base, head: changed(rest, value, base.get(head, {})) if rest else value}


def leaves(model: Any, path: str = "") -> Iterator[str]:
    """The path of every field of a model, mappings by id opened."""
    if isinstance(model, dict):
        for key, below in model.items():
            yield from leaves(below, f"{path}.{key}" if path else key)
    elif hasattr(type(model), "model_fields"):
        for name in type(model).model_fields:
            yield from leaves(getattr(model, name), f"{path}.{name}" if path else name)
    else:
        yield path


def other(path: str) -> Cell:
    """The full cell with the other value of one field."""
    base = changed("data.dataset", {"kind": "named", "name": "fashion_mnist"})
    return Cell.model_validate(changed(path, OTHER[path], base))
