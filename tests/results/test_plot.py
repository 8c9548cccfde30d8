from pathlib import Path

import pytest

from ntkbench.errors import NtkbenchError, UsageError
from ntkbench.plan.runs import Plan, Run
from ntkbench.results.plots.plot import DrawnRecords, _slug, plot, plotted_analyses, results_of_plan, results_of_store
from ntkbench.spec.cell import Header
from ntkbench.store import record
from ntkbench.store.store import Store
from tests.examples import factory, findings
from tests.examples.factory import cell, failed, planned
from tests.examples.findings import depths

EIGEN = ["scatter-eps-8-255", "index-eps-8-255", "cumulative-eps-8-255", "spectrum", "features"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def drawn(store: Store, **options) -> list[str]:
    """The names of the pictures, without the spec."""
    output = store.root / "figures"
    paths = plot(results_of_store(store), store.records, output, **options)
    assert sorted(output.iterdir()) == sorted([*paths, *(path.with_suffix(".txt") for path in paths)])
    assert len(set(paths)) == len(paths)
    assert all(path.read_bytes() for path in paths)
    return [path.stem.removeprefix("synthetic-") for path in paths]


def test_every_analysis_has_its_pictures_with_captions(store: Store):
    findings.store(store.records, depths(1, 2))
    assert drawn(store) == [
        *(f"eigen-{name}" for name in EIGEN),
        "time-flow-eps-8-255",
        "time-ridge-eps-8-255",
        *(f"agree-{name}" for name in ("overlap", "angle", "gradients")),
        "certain-radius",
    ]
    text = (store.root / "figures" / "synthetic-eigen-spectrum.txt").read_text("utf-8")
    runs = depths(1, 2)
    assert text == (
        "Eigenvalues of the kernel on the training set. Spec synthetic, analysis eigen; "
        f"depth 1: {runs[0].id}, depth 2: {runs[1].id}.\n"
    )


def test_analyses_budgets_and_the_format_are_chosen(store: Store):
    findings.store(store.records, depths(1))
    assert drawn(store, analyses=["time"], budgets=["8/255", "4/510"], form="svg") == [
        f"time-{along}-eps-{eps}" for eps in ("8-255", "2-255") for along in ("flow", "ridge")
    ]
    assert len(list((store.root / "figures").glob("*.svg"))) == 4


def test_many_cells_have_a_picture_each_and_seeds_share_it(store: Store):
    findings.store(store.records, depths(1, 2, 3, 4, seeds=(0, 1)))
    names = drawn(store, analyses=["time"])
    assert names == [f"time-{along}-eps-8-255-depth-{d}" for d in range(1, 5) for along in ("flow", "ridge")]


@pytest.mark.slow
def test_many_seeds_of_a_cell_have_a_picture_each(store: Store):
    findings.store(store.records, depths(1, seeds=range(7)))
    names = drawn(store, analyses=["time"])
    assert names[:2] == [f"time-{along}-eps-8-255-seed-0" for along in ("flow", "ridge")]
    assert len(names) == 14


def test_a_plan_draws_its_own_runs_under_its_own_labels(store: Store):
    runs = depths(1, 2)
    findings.store(store.records, runs)
    header = Header.model_validate({"ntkbench": 1, "name": "other"})
    renamed = [Run("other", run.cell, {"level": f"no. {i}"}, run.seed, run.id) for i, run in enumerate(runs)]
    results = results_of_plan(Plan(header, tuple(renamed), "other.yaml"), store)
    (study,) = plotted_analyses([results], store.records, ["time"])
    assert study.spec == "other"
    assert [panel.label for panel in study.panels] == ["no. 0", "no. 1"]


def test_missing_runs_are_told_and_the_others_drawn(store: Store):
    runs = depths(1, 2, 3)
    findings.store(store.records, runs[:1])
    record.write(factory.valid(failed(runs[1])), store.record(runs[1].id))
    header = Header.model_validate({"ntkbench": 1, "name": "other"})
    with pytest.warns(UserWarning, match=r"other.yaml: 2 of 3 runs are not done, and not drawn"):
        results = results_of_plan(Plan(header, tuple(runs), "other.yaml"), store)
    assert [each.run_id for each, _ in results.found] == [runs[0].id]


def test_no_results_say_what_to_do(store: Store):
    header = Header.model_validate({"ntkbench": 1, "name": "x"})
    with pytest.raises(UsageError, match=r"has none of its results; `ntkbench run x.yaml` makes them"):
        results_of_plan(Plan(header, tuple(depths(1)), "x.yaml"), store)
    with pytest.raises(UsageError, match="has no results; `ntkbench run SPEC` makes some"):
        results_of_store(store)


def test_nothing_complete_is_told(store: Store):
    runs = planned(cell(), [0, 1])
    factory.store(store.records, runs[:1])
    results = DrawnRecords("synthetic", results_of_store(store)[0].found, runs)
    with pytest.raises(UsageError, match="no cell of the matrix has all its runs"):
        plot([results], store.records, store.root / "figures")


def test_a_damaged_record_is_told_and_left_out(store: Store):
    findings.store(store.records, depths(1))
    (store.records / "r000000000000.json").write_text("{")
    with pytest.warns(UserWarning, match="it is left out"):
        (results,) = results_of_store(store)
    assert len(results.found) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"analyses": ["eigne"]},
            "no run has an analysis 'eigne'; did you mean eigen.*; there are eigen, time, agree, certain",
        ),
        ({"budgets": ["9/255"]}, "eigen has no eps 9/255; there are 2/255, 8/255"),
        ({"budgets": ["much"]}, "eigen has no eps much"),
    ],
)
def test_what_is_not_there_is_refused_before_anything_is_drawn(options: dict, message: str, store: Store):
    findings.store(store.records, depths(1))
    with pytest.raises(UsageError, match=message):
        drawn(store, **options)
    assert not (store.root / "figures").exists()


def test_an_analysis_without_pictures_says_which_have_some(store: Store):
    (run,) = planned(cell(), [0])
    written = factory.a_record(run)
    written["spec"]["resolved"] |= {"analyses": {"long": {"kind": "words"}}}
    store.records.mkdir(parents=True)
    record.write(factory.valid(written), store.record(run.id))
    with pytest.raises(
        UsageError, match=r"nothing to draw: long \(words\).*eigenspace, time, consistency, certificate, transfer"
    ):
        drawn(store)


def test_an_accuracy_under_no_attack_is_told(store: Store):
    factory.store(store.records, planned(cell(analyses={"clean": {"kind": "accuracy"}}), [0]))
    with pytest.raises(UsageError, match="or no attack is measured"):
        drawn(store)


def test_records_of_another_version_are_told(store: Store):
    series = findings.time(findings.np.random.default_rng(0))
    del series["ridge_clean"]
    findings.store(store.records, depths(1), time=series)
    with pytest.raises(NtkbenchError, match=r"has no series time.ridge_clean: it was made by another version"):
        drawn(store, analyses=["time"])


def test_damaged_arrays_are_told(store: Store):
    run, *_ = depths(1)
    findings.store(store.records, [run])
    store.arrays(run.id).write_bytes(b"")
    with pytest.raises(NtkbenchError, match="its checksum is not the record's"):
        drawn(store)


@pytest.mark.slow
def test_pictures_of_one_name_do_not_hide_each_other(store: Store):
    for label in ("a b", "a-b"):
        runs = [
            Run(run.name, run.cell, {"arch": f"{label} {depth}"}, run.seed, run.id)
            for depth in range(1, 5)
            for run in depths(depth + 10 * (label == "a b"))
        ]
        findings.store(store.records, runs)
    assert len(drawn(store, analyses=["time"])) == 16


@pytest.mark.parametrize("label", [r"$\frac$", "$x", "a_b^c", r"\$"])
def test_a_label_is_no_formula(label: str, store: Store):
    store.records.mkdir(parents=True)
    for depth in (1, 2):
        for width, name in ((16, label), (32, "other")):
            of = cell(width=width, architecture={"kind": "fc", "depth": depth})
            factory.store(store.records, planned(of, range(2), regime=name, **{label: str(depth)}))
    assert drawn(store)


def test_long_labels_make_names_that_file_systems_take(tmp_path: Path):
    labels = ["a word " * 60, "a word " * 60 + "more"]
    names = {_slug("spec", "eigen", label) for label in labels}
    assert len(names) == 2
    assert max(map(len, names)) <= 140
    assert _slug("spec", "eigen", "short label") == "spec-eigen-short-label"
