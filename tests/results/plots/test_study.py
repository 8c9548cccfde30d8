from typing import Any

import pytest

from ntkbench.results.plots.study import MOST, Panel, figures_of
from tests.examples.factory import a_record, cell, planned, valid


def panel(name: str = "", seed: int = 0, **data: Any) -> Panel:
    of = cell(data={"dataset": "fashion_mnist_mini", "n_train": 100, "n_test": 20, **data})
    (run,) = planned(of, [seed])
    return Panel(name, f"{name}, seed {seed}", "transfer", valid(a_record(run)), {})


@pytest.mark.parametrize(
    ("data", "chance"),
    [
        ({"classes": ["coat", "pullover"]}, 1 / 2),
        ({"classes": ["coat", "pullover", "bag"]}, 1 / 3),
        ({}, 1 / 10),
        ({"dataset": {"kind": "two_gaussians"}}, 1 / 2),
    ],
)
def test_chance_is_one_of_the_classes_there_are(data: dict, chance: float):
    assert panel(**data).chance == chance


def test_what_was_asked_is_read_from_the_record():
    found = panel()
    assert found.asked["floor"] == "noise"
    assert found.attack["kind"] == "fgsm"
    assert found.budgets == ("2/255", "8/255")
    assert found.number("accuracy") is None


@pytest.mark.parametrize(
    ("cells", "seeds", "names"),
    [
        (2, 3, [("", 6)]),
        (7, 1, [(f"cell {c}", 1) for c in range(7)]),
        (3, 3, [(f"cell {c}", 3) for c in range(3)]),
        (1, 7, [(f"cell 0, seed {s}", 1) for s in range(7)]),
    ],
)
def test_few_panels_share_a_picture(cells: int, seeds: int, names: list[tuple[str, int]]):
    panels = [panel(f"cell {c}", s) for c in range(cells) for s in range(seeds)]
    found = list(figures_of(panels))
    assert [(name, len(part)) for name, part in found] == names
    assert [each for _, part in found for each in part] == panels
    assert all(len(part) <= MOST for _, part in found)
