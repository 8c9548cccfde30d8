import subprocess
import sys

import pytest

from ntkbench.data.catalog import CATALOG, available, class_numbers, entry
from ntkbench.errors import UsageError

CLOTHES = "t_shirt_top, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle_boot"


def test_names_and_sizes():
    sizes = {name: (entry.n_train, entry.n_test, len(entry.classes)) for name, entry in CATALOG.items()}
    assert sizes == {
        "fashion_mnist_mini": (5000, 1000, 10),
        "fashion_mnist": (60000, 10000, 10),
        "mnist": (60000, 10000, 10),
        "cifar10": (50000, 10000, 10),
    }


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match=r"^no data set 'cifar-10'; did you mean 'cifar10'\?$"):
        entry("cifar-10")
    with pytest.raises(
        UsageError, match=r"^no data set 'x'; there are fashion_mnist_mini, fashion_mnist, mnist, cifar10$"
    ):
        entry("x")


@pytest.mark.parametrize(
    ("name", "classes", "numbers"),
    [
        ("fashion_mnist", ["sneaker", "ankle_boot"], (7, 9)),
        ("fashion_mnist", ["ankle_boot", 7], (9, 7)),
        ("cifar10", ["airplane", "automobile"], (0, 1)),
        ("mnist", [3, "7", "nine"], (3, 7, 9)),
        ("mnist", None, tuple(range(10))),
    ],
)
def test_classes_by_name_or_number(name, classes, numbers):
    assert class_numbers(entry(name), classes) == numbers


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["sneakers", "bag"], "fashion_mnist has no class 'sneakers'; did you mean 'sneaker'?"),
        (["bag", "bag"], "class 'bag' stands here twice"),
        (["bag", 8], "class 'bag' stands here twice"),
        ([10, 1], f"fashion_mnist has no class 10; there are {CLOTHES}"),
        ([-1, 1], f"fashion_mnist has no class -1; there are {CLOTHES}"),
    ],
)
def test_wrong_classes(classes, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        class_numbers(entry("fashion_mnist"), classes)
    assert str(caught.value) == message


def test_available():
    mini, mnist = entry("fashion_mnist_mini"), entry("mnist")
    assert available(mini, (7, 9), "balanced") == (1000, 200)
    assert available(mini, (7, 9), "first") == (1000, 200)
    assert available(mnist, (1, 5), "first") == (6742 + 5421, 1135 + 892)
    # One of each in turn: 1 has one more to give after 5 has run out, 5 has none after 5.
    assert available(mnist, (1, 5), "balanced") == (2 * 5421 + 1, 2 * 892 + 1)
    assert available(mnist, (5, 1), "balanced") == (2 * 5421, 2 * 892)


def test_needs_no_numpy():
    code = "import sys, ntkbench.data.catalog; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
