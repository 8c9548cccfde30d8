from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ntkbench.results.plots.images.features import grid
from tests.examples.findings import depths, eigenspace, studies


@pytest.mark.parametrize("channels", [1, 3])
def test_images_and_the_gradients_of_features_between_their_ends(channels: int, tmp_path: Path):
    series = eigenspace(np.random.default_rng(0), shape=(4, 5, channels))
    panels = studies(tmp_path, depths(1), eigen=series)["eigen"].panels
    axes = [at for at in grid(panels).axes if at.images]
    assert [at.get_title().strip() for at in axes] == [
        *("test 0", "i = 0", "i = 1", "i = 2", "0–29", "30–59"),
        *("test 1", "i = 0", "i = 1", "i = 2", "0–29", "30–59"),
    ]
    shown = [np.asarray(at.images[0].get_array()).reshape(4, 5, channels) for at in axes]
    for test in (0, 1):
        np.testing.assert_array_equal(shown[6 * test], series["picture_image"][test])
        for place, gradient in enumerate([*series["picture_gradient"], *series["picture_group_gradient"]]):
            own = gradient[test]
            scaled = (own - own.min()) / (own.max() - own.min())
            np.testing.assert_allclose(shown[6 * test + 1 + place], scaled, rtol=1e-6)


def test_a_constant_gradient_is_gray(tmp_path: Path):
    series = eigenspace(np.random.default_rng(0)) | {"picture_gradient": np.ones((3, 2, 4, 4, 1), np.float32)}
    axes = grid(studies(tmp_path, depths(1), eigen=series)["eigen"].panels).axes
    np.testing.assert_array_equal(np.asarray(axes[1].images[0].get_array()), 0.5)


def test_many_features_take_several_rows_groups_one_of_their_own_and_the_image_stands_once(tmp_path: Path):
    gradients = np.random.default_rng(0).normal(size=(9, 1, 4, 4, 1)).astype(np.float32)
    series = eigenspace(np.random.default_rng(0)) | {
        "picture_feature": np.arange(9),
        "picture_test": np.array([5]),
        "picture_image": np.zeros((1, 4, 4, 1), np.float32),
        "picture_gradient": gradients,
        "picture_group_gradient": np.ones((2, 1, 4, 4, 1), np.float32),
    }
    titles = [
        at.get_title() for at in grid(studies(tmp_path, depths(1), eigen=series)["eigen"].panels).axes if at.images
    ]
    assert titles == ["test 5", *(f"i = {index}" for index in range(9)), "0–29", "30–59"]


@pytest.mark.parametrize(("classes", "name"), [([2, 4], "coat"), (["shirt", "bag"], "bag")])
def test_a_test_image_has_the_name_of_its_class(classes: list, name: str, tmp_path: Path):
    (panel,) = studies(tmp_path, depths(1))["eigen"].panels
    known = panel.record.spec.resolved | {
        "data": {"dataset": {"kind": "named", "name": "fashion_mnist"}, "classes": classes}
    }
    told = panel.record.model_copy(update={"spec": panel.record.spec.model_copy(update={"resolved": known})})
    panel = replace(panel, record=told, labels=np.array([0, 1]))
    titles = [at.get_title() for at in grid([panel]).axes if at.images]
    assert titles[6] == f"{name}\ntest 1"
