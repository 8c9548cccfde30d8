import numpy as np
import pytest

from ntkbench.results.plots import style
from ntkbench.results.plots.images.pairs import figure, of_file

RNG = np.random.default_rng(0)
CLEAN = RNG.uniform(0.1, 0.9, (4, 5, 6, 1))
MOVED = CLEAN + 8 / 255 * np.sign(RNG.normal(size=CLEAN.shape))
FILE = {
    "x_clean": CLEAN,
    "x_adv": MOVED,
    "y": np.array([0, 1, 0, 1]),
    "correct_clean": np.array([True, True, False, True]),
    "correct_adv": np.array([True, False, False, True]),
}


def titles(made, row: int, n: int) -> list[str]:
    return [axes.get_title() for axes in made.axes[row * n : (row + 1) * n]]


def test_images_stand_above_what_was_added_to_them():
    made = figure(CLEAN, MOVED, ["a"] * 4, ["a", "b", "a", "a"])
    assert [made.axes[row * 4].get_ylabel() for row in range(3)] == ["clean", "adversarial", "perturbation\n±8/255"]
    shown = np.array([np.asarray(axes.images[0].get_array()) for axes in made.axes]).reshape(3, 4, 5, 6)
    np.testing.assert_allclose(shown[0], CLEAN[..., 0])
    np.testing.assert_allclose(shown[1], MOVED[..., 0])
    np.testing.assert_allclose(shown[2], np.where(MOVED > CLEAN, 1, 0)[..., 0], atol=1e-9)
    colors = [axes.title.get_color() for axes in made.axes[4:8]]
    assert colors == [style.BLACK, style.ROBUST, style.BLACK, style.BLACK]


def test_of_two_classes_a_wrong_prediction_is_the_other_and_turned_images_come_first():
    made = of_file(FILE | {"class_names": np.array(["coat", "bag"])})
    assert titles(made, 0, 4) == ["bag", "coat", "bag", "bag"]
    assert titles(made, 1, 4) == ["coat", "coat", "bag", "bag"]
    np.testing.assert_allclose(np.asarray(made.axes[0].images[0].get_array()), CLEAN[1, ..., 0])


def test_of_more_classes_a_wrong_prediction_is_not_known():
    made = of_file(FILE | {"class_names": np.array(["coat", "bag", "shirt"])}, first=3)
    assert titles(made, 0, 3) == ["bag", "coat", "not coat"]
    assert titles(made, 1, 3) == ["not bag", "coat", "not coat"]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_that_nobody_judged_have_their_classes(channels: int):
    images = RNG.random((2, 4, 4, channels))
    made = of_file({"x_clean": images, "x_adv": images, "y": np.array([1, 0]), "class_names": np.array(["a", "b"])})
    assert titles(made, 0, 2) == ["b", "a"]
    assert titles(made, 1, 2) == ["", ""]
