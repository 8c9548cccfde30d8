"""Networks in words, for the tests of all that reads them."""

from typing import Any

from pydantic import TypeAdapter

from ntkbench.spec.architectures import Architecture

_READ = TypeAdapter(Architecture)
RESIDUAL: list[Any] = [
    {"op": "conv", "window": [1, 2], "padding": "CIRCULAR"},
    {
        "op": "residual",
        "branches": [
            [],
            [{"op": "leaky_relu", "leak": 0.2}, {"op": "conv", "W_std": 1.0}],
            [{"op": "layer_norm"}, {"op": "gelu"}, {"op": "conv", "window": 1, "b_std": None}],
        ],
    },
    {"op": "avg_pool", "window": [2, 1], "stride": 1, "padding": "SAME"},
    {"op": "layer_norm"},
    {"op": "erf"},
    {"op": "conv", "stride": [2, 1], "padding": "VALID"},
    {"op": "flatten"},
    {"op": "dense"},
]
"""something of everything that has a limit"""
NETWORKS: dict[str, dict[str, Any]] = {
    "fc": {"kind": "fc", "depth": 2},
    "conv flatten": {"kind": "conv", "depth": 2, "b_std": None},
    "conv gap": {"kind": "conv", "depth": 2, "activation": "leaky_relu", "leak": 0.3, "head": "gap"},
    "conv valid": {"kind": "conv", "window": [2, 3], "padding": "VALID", "activation": "erf"},
    "conv stride": {"kind": "conv", "window": 2, "stride": 2, "padding": "CIRCULAR", "parameterization": "standard"},
    "myrtle 5": {"kind": "myrtle"},
    "myrtle 7": {"kind": "myrtle", "depth": 7},
    "myrtle 10": {"kind": "myrtle", "depth": 10},
    "resnet": {"kind": "resnet", "head": "flatten"},
    "resnet stages": {"kind": "resnet", "stages": 2, "blocks": 2, "activation": "gelu"},
    "resnet layer norm": {"kind": "resnet", "layer_norm": True, "activation": "tanh"},
    "layers": {"kind": "layers", "layers": RESIDUAL},
}
"""networks with a limit, for images of 4 x 4 and more"""
NORMALIZED: dict[str, Any] = {
    "kind": "layers",
    "layers": [{"op": "flatten"}, *([{"op": "dense"}, {"op": "batch_norm"}, {"op": "relu"}] * 2), {"op": "dense"}],
}
"""batch normalization of a fully connected network"""
FINITE: dict[str, dict[str, Any]] = {
    "batch_norm": {
        "kind": "layers",
        "layers": [
            {"op": "conv"},
            {"op": "batch_norm", "momentum": 0.5},
            {"op": "gelu"},
            {"op": "residual", "branches": [[], [{"op": "conv"}, {"op": "batch_norm"}]]},
            {"op": "gap"},
            {"op": "dense"},
        ],
    },
    "cnn_small": {"kind": "cnn_small"},
    "cnn_large": {"kind": "cnn_large"},
    "max_pool": {
        "kind": "layers",
        "layers": [{"op": "max_pool", "window": 3, "stride": 1}, {"op": "gap"}, {"op": "dense", "b_std": None}],
    },
}


def network(words: dict[str, Any]) -> Architecture:
    """The model of these words."""
    return _READ.validate_python(words)
