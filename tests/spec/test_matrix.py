import pytest

from ntkbench.errors import SpecError
from ntkbench.spec.document import plain
from ntkbench.spec.reading.matrix import Matrix
from ntkbench.spec.reading.parse import parse

BASE = "{width: 8, training: {mode: standard, epochs: 5}, kernels: {limit: {kind: infinite}}, matrix: %s}"


def matrix(text: str) -> Matrix:
    read = Matrix(parse(BASE % text, "s.yaml"))
    assert not read.problems
    return read


def labels(text: str) -> list[list[str]]:
    return [list(corner.labels.values()) for corner in matrix(text).cells()]


def test_without_axes_there_is_one_cell():
    read = Matrix(parse("{width: 8, name: x}", "s.yaml"))
    (only,) = read.cells()
    assert only.labels == {}
    assert plain(only.root) == {"width": 8}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("[512, 8/255, 0.1, 1e-5]", ["512", "8/255", "0.1", "1e-05"]),
        ("[16/510, 2.0, inf, null, true]", ["8/255", "2", "inf", "null", "true"]),
        ("[{kind: fc, depth: 3}, [1, 2]]", ["{kind: fc, depth: 3}", "[1, 2]"]),
    ],
)
def test_labels_are_the_short_text_of_the_values(values: str, expected: list[str]):
    assert [label for (label,) in labels(f"{{width: {values}}}")] == expected


def test_the_last_axis_runs_fastest_and_corners_are_left_out():
    text = "{width: [1, 2], training.epochs: [3, 4], exclude: [{width: 1, training.epochs: 4}]}"
    assert labels(text) == [["1", "3"], ["2", "3"], ["2", "4"]]


def test_a_label_sets_several_paths():
    read = matrix("{size: {small: {width: 1, training.epochs: 2}, new: {kernels.other: {kind: infinite}}}}")
    small, new = (plain(corner.root) for corner in read.cells())
    assert small == {
        "width": 1,
        "training": {"mode": "standard", "epochs": 2},
        "kernels": {"limit": {"kind": "infinite"}},
    }
    assert new["kernels"] == {"limit": {"kind": "infinite"}, "other": {"kind": "infinite"}}  # pyright: ignore


def test_sections_that_an_axis_leaves_alone_are_shared():
    one, two = matrix("{width: [1, 2]}").cells()
    assert one.root.child("training") is two.root.child("training")


def test_a_mapping_of_another_kind_replaces():
    none, again = matrix("{training: [{mode: none}, {epochs: 9}]}").cells()
    assert plain(none.root.at(("training",))) == {"mode": "none"}
    assert plain(again.root.at(("training",))) == {"mode": "standard", "epochs": 9}


def test_axes_over_different_leaves_of_one_section_are_independent():
    assert len(labels("{training: [{epochs: 1}, {epochs: 2}], training.loss: [mse, cross_entropy]}")) == 4


def test_axes_at_odds_are_found_however_many_there_are():
    axes = "".join(f"  ax{i}: {{a: {{width: {i}}}}}\n" for i in range(190))
    with pytest.raises(SpecError) as error:
        Matrix(parse(f"width: 1\nmatrix:\n{axes}", "s"))
    assert len(error.value.problems) == 101
    assert "width is set by the axis ax0 too" in str(error.value)


def test_cells_are_counted_with_their_values():
    attacks = "".join(f"  a{i}: {{kind: fgsm, eps: [1/255, 2/255, 3/255]}}\n" for i in range(190))
    widths = ", ".join(map(str, range(1, 1001)))
    too_large = Matrix(parse(f"attacks:\n{attacks}width: 1\nmatrix: {{width: [{widths}]}}", "s")).too_large(1)
    assert too_large is not None
    assert "1000 cells (1000 width) of" in str(too_large)


def test_a_label_is_short_enough_for_a_record():
    layers = ", ".join(["{op: relu}"] * 30)
    axis = f"{{architecture: [{{kind: layers, layers: [{layers}]}}]}}"
    found = Matrix(parse(f"architecture: {{kind: fc}}\nmatrix: {axis}", "s"))
    assert "is too long for a label" in str(found.problems[0])


@pytest.mark.parametrize("name", ["mean", "sd", "expected", "ci_low", "failed_checks", "value", "seed"])
def test_an_axis_cannot_be_called_like_a_column_of_tables(name: str):
    read = Matrix(parse(BASE % f"{{{name}: {{a: {{width: 8}}}}}}", "s.yaml"))
    assert [problem.message for problem in read.problems] == [
        "tables have a column of this name; give the axis another name"
    ]
