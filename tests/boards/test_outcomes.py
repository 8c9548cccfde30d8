"""Numbers from digits, against counting by hand and against small changes of single points."""

import numpy as np
import pytest

from ntkbench.analyses.measurement import Scalar
from ntkbench.boards import outcomes, submit
from ntkbench.boards.evidence import judged
from ntkbench.boards.outcomes import Code, code, implied, is_share, judge, outcome_string
from ntkbench.boards.tracks import track
from ntkbench.errors import NtkbenchError
from ntkbench.run.recording import metric_row
from ntkbench.spec.cell import Cell
from ntkbench.store import arrays
from ntkbench.store.record import MetricRow
from ntkbench.uncertainty import from_influence, from_points
from ntkbench.vocabulary import grid
from tests.boards.test_track import written
from tests.examples.factory import cell, planned, store

WHERE = {"target": "self", "attack": "ntk", "source": "limit", "eps": "8/255"}
SHARE = Code([0, 1], [1, 1])


def row(metric: str, value: float, analysis: str = "transfer", **about) -> MetricRow:
    return metric_row(analysis, Scalar(metric, value, WHERE | about, n=4))


def test_a_share_is_counted():
    made = judge(["01-1", "0011"], SHARE, "p")
    assert made.values.tolist() == [2 / 3, 1 / 2]
    assert made.counted.tolist() == [3, 4]
    matrix = np.array([[0, 1, np.nan, 1], [0, 0, 1, 1]])
    assert from_influence(made.values, made.influence, 3.5).variance == pytest.approx(from_points(matrix).variance)


def test_a_mean_over_a_grid_is_the_mean_of_its_digits():
    how = code("eigenspace_robustness", WHERE, cell())
    assert how is not None
    size = len(grid(100))
    made = judge(["0" + str(size) + "3", "111"], how, "p")
    assert made.values.tolist() == pytest.approx([(size + 3) / 3 / size, 1 / size])


def by_hand(a: np.ndarray, c: np.ndarray, f: np.ndarray) -> float:
    return float((a.mean() - f.mean()) / (c.mean() - f.mean()))


def test_a_normalized_transfer_is_computed_from_its_three_attacks():
    rng = np.random.default_rng(0)
    clean = rng.random(50) < 0.8
    a, c, f = (rng.random(50) < rate for rate in (0.5, 0.8, 0.1))
    names = dict(zip(("ntk", "own", "noise"), (a, c, f), strict=True))
    samples = {arrays.column("transfer", f"{name}@8/255"): ~wrong for name, wrong in names.items()}
    samples[arrays.column("transfer", "clean")] = clean
    text = outcome_string(row("normalized_transfer", 0.5), samples, cell())
    how = code("normalized_transfer", WHERE, cell())
    assert how is not None
    made = judge([text], how, "p")
    assert made.values[0] == pytest.approx(by_hand(a[clean], c[clean], f[clean]))
    assert made.counted.tolist() == [clean.sum()]
    told = {where.get("attack", metric): judge([text], of, "p") for metric, where, of in shares()}
    for name, wrong in names.items():
        assert told[name].values[0] == wrong[clean].mean()
    assert (told["accuracy"].values[0], told["accuracy"].counted[0]) == (clean.mean(), 50)


def shares():
    return implied("normalized_transfer", WHERE, "transfer", cell())


def test_influence_is_the_change_with_each_point():
    """Of a point whose weight grows a little, divided by that, and N times: what the value gains."""
    rng = np.random.default_rng(1)
    how = code("normalized_transfer", WHERE, cell())
    assert how is not None
    digits = rng.integers(0, 8, 30)
    above, below = np.array(how.above)[digits], np.array(how.below)[digits]
    made = judge(["".join(map(str, digits))], how, "p")
    for i in range(30):
        weight = np.ones(30)
        weight[i] += 1e-6
        gained = (weight @ above) / (weight @ below) - above.sum() / below.sum()
        assert made.influence[0, i] == pytest.approx(30 * gained / 1e-6, rel=1e-4, abs=1e-6)


def test_a_ceiling_that_is_not_above_the_floor_has_no_value():
    how = code("normalized_transfer", WHERE, cell())
    assert how is not None
    made = judge(["4444"], how, "p")
    assert np.isnan(made.values).all()
    assert list(made.gives([row("normalized_transfer", float("nan"))])) == [True]


@pytest.mark.parametrize(
    ("runs", "told"),
    [(["01", "0"], "different numbers of test points"), (["012"], "a digit above 1"), (["--"], "a single point")],
)
def test_texts_that_are_no_outcomes_are_refused(runs, told):
    with pytest.raises(ValueError, match=told):
        judge(runs, SHARE, "p")


def test_a_grid_s_outcomes_are_its_counts():
    samples = {arrays.column("eigen", "grid.ntk@8/255"): np.array([0, 3, 7, 12], np.uint8)}
    assert outcome_string(row("eigenspace_robustness", 0.5, "eigen"), samples, cell()) == "037c"
    with pytest.raises(NtkbenchError, match=r"kept no outcomes 'transfer\.clean'"):
        outcome_string(row("normalized_transfer", 0.5), samples, cell())


def test_only_a_transfer_with_both_ends_has_its_digits():
    of = cell(analyses={"transfer": {"kind": "transfer", "attack": "ntk"}})
    samples = {arrays.column("transfer", "clean"): np.ones(4, bool)}
    with pytest.raises(NtkbenchError, match=r"analyses.transfer: no transfer with a ceiling and a floor"):
        outcome_string(row("normalized_transfer", 0.5), samples, of)
    assert [metric for metric, _, _ in implied("normalized_transfer", WHERE, "transfer", of)] == ["accuracy"]


def test_numbers_of_an_entry_follow_from_the_outcomes_that_back_them(tmp_path):
    rules, runs = track.read(written(tmp_path)), planned(cell(), range(3))
    entry = submit.make(rules, runs, store(tmp_path, runs), tmp_path, name="x")
    (of,) = entry.cells
    for place, result in enumerate(of.results):
        made = judged(of.results, place, Cell.model_validate(of.cell), entry.points or "")
        assert made is not None
        assert made.values.tolist() == pytest.approx([run.value for run in result.runs])
    bare = [each.model_copy(update={"outcomes": None}) for each in of.results]
    assert judged(bare, 0, cell(), "") is None


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ({}, True),
        ({"part": "k90"}, True),
        ({"part": "top 50"}, False),
        ({"split": "train"}, False),
        ({"split": "test"}, True),
    ],
)
def test_shares_are_those_whose_outcomes_records_keep(where, kept):
    assert is_share("accuracy", where) == is_share("robust_accuracy", where) == kept


def test_other_test_points_have_no_common_digest():
    index = [{"index": np.array([1, 2])}, {"index": np.array([1, 3])}]
    assert outcomes.points_digest(index[:1]) != outcomes.points_digest(index[1:])
    with pytest.raises(NtkbenchError, match="different test points"):
        outcomes.points_digest(index)
