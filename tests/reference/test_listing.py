from typing import get_args

import pytest

from ntkbench.data.catalog import CATALOG
from ntkbench.reference.listing import listing
from ntkbench.spec.extensions import known_metrics
from ntkbench.spec.layers import ActivationName


def first_words(text: str) -> list[str]:
    return [line.split("  ")[0] for line in text.splitlines() if line]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("kernels", ["infinite", "empirical"]),
        ("attacks", ["fgsm", "pgd", "apgd", "square", "fab", "autoattack", "random_sign", "images"]),
        (
            "analyses",
            [
                "accuracy",
                "transfer",
                "transfer_matrix",
                "eigenspace",
                "time",
                "consistency",
                "certificate",
                "label_flips",
                "drift",
            ],
        ),
        ("datasets", [*CATALOG, "two_gaussians", "sphere_teacher", "npz", "folder", "csv"]),
        ("metrics", [*known_metrics()]),
    ],
)
def test_names_what_a_spec_may_say(what: str, words: list[str]):
    _, _, *rows = first_words(listing(what))
    assert rows == words


def test_architectures_come_with_their_layers():
    kinds, ops = listing("architectures").split("\n\n")
    named = ["fc", "conv", "myrtle", "resnet", "resnet18", "cnn_small", "cnn_large"]
    assert first_words(kinds)[2:] == [*named, "layers", "given"]
    listed = {op for row in first_words(ops)[2:] for op in row.split(", ")}
    activations = {name for part in get_args(ActivationName) for name in (get_args(part) or (part,))}
    assert listed >= activations | {"dense", "conv", "residual", "max_pool"}
    assert "window, stride, padding" in ops
