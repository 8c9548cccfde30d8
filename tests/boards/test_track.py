from pathlib import Path

import pytest

from ntkbench.analyses.measurement import Scalar
from ntkbench.boards.tracks import columns, track
from ntkbench.errors import NtkbenchError
from ntkbench.plan.check import check
from ntkbench.run.recording import metric_row
from ntkbench.spec.identity import with_auto_losses
from ntkbench.store.record import MetricRow
from tests.examples.factory import cell

TEXT = """\
schema: ntkbench.track/2
title: A small track
about: For tests.
spec: specs/small.yaml
frozen: [data, attacks, analyses, numerics]
free: [architecture, width, training, kernels]
rank:
  title: transfer rate
  metric: transfer_rate
  where: {attack: ntk, eps: 8/255, denominator: target_correct}
  order: descending
columns:
  - {title: clean accuracy, metric: accuracy, where: {target: self}}
  - {title: normalized, metric: normalized_transfer, where: {attack: ntk, eps: 8/255}}
min_seeds: 3
tolerance: {fraction: 0.01, ratio: 0.05}
mini: {training: {epochs: 2}}
cell:
  data: {dataset: fashion_mnist_mini, classes: [sneaker, ankle_boot], n_train: 100, n_test: 20}
  architecture: {kind: fc, depth: 1}
  width: 32
  training: {mode: standard, epochs: 10}
  kernels: {limit: {kind: infinite}}
  attacks:
    ntk: {kind: fgsm, source: limit, eps: [2/255, 8/255]}
    own: {kind: fgsm, eps: [2/255, 8/255]}
    noise: {kind: random_sign, eps: [2/255, 8/255]}
  analyses: {transfer: {kind: transfer, attack: ntk, ceiling: own, floor: noise}}
"""


def written(folder: Path, text: str = TEXT, name: str = "small@1") -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / track.FILE).write_text(text)
    return folder / name


def test_a_track_reads_its_rules_and_fills_its_experiment_in(tmp_path):
    rules = track.read(written(tmp_path))
    assert (rules.name, rules.min_seeds, rules.alpha, rules.rank.where["eps"]) == ("small@1", 3, 0.05, "8/255")
    assert rules.base == with_auto_losses(cell())


def test_notation_is_no_difference_and_free_fields_may_differ(tmp_path):
    rules = track.read(written(tmp_path))
    data = {"dataset": "fashion_mnist_mini", "classes": [7, "ankle_boot"], "n_train": 100, "n_test": 20, "seed": 0}
    other = cell(data=data, width=4096, architecture={"kind": "fc", "depth": 3}, training={"mode": "none"})
    assert rules.differences("cell", other) == []


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        (
            {
                "data": {
                    "dataset": "fashion_mnist_mini",
                    "classes": ["sneaker", "ankle_boot"],
                    "n_train": 50,
                    "n_test": 20,
                }
            },
            "data.n_train: the track has 100, the runs have 50",
        ),
        ({"numerics": {"kernel": "float32"}}, "numerics.kernel: the track has float64, the runs have float32"),
        (
            {"analyses": {"accuracy": {"kind": "accuracy"}}},
            "analyses.transfer.attack: the track has ntk, the runs have nothing",
        ),
    ],
)
def test_what_is_frozen_may_not(tmp_path, changes, difference):
    assert difference in track.read(written(tmp_path)).differences("cell", cell(**changes))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title: A small track", "titel: A small track", "titel: Extra inputs"),
        ("min_seeds: 3", "min_seeds: 0", "min_seeds: Input should be greater than or equal to 1"),
        ("min_seeds: 3", "min_seeds: '3'", "min_seeds: Input should be a valid integer"),
        ("free: [architecture, width, ", "free: [architecture, ", "width is neither frozen nor free"),
        ("free: [architecture, ", "free: [architektur, architecture, ", "architektur is no part of an experiment"),
        ("  metric: transfer_rate", "  metric: transfer_rat", "did you mean transfer_rate"),
        ("n_train: 100", "n_train: many", "track.yaml: cell: data.n_train: "),
        ("mini: {training: {epochs: 2}}", "mini: {training: {epoch: 2}}", "track.yaml: mini: training.*epoch: Extra"),
        ("cell:", "cel:", "cell: the experiment is missing"),
        ("spec: specs/small.yaml", "spec: ../../etc/passwd", "spec: String should match pattern"),
        ("min_seeds: 3", "min_seeds: [3", "not YAML"),
    ],
)
def test_a_mistake_in_a_track_is_named(tmp_path, old, new, message):
    assert old in TEXT
    with pytest.raises(NtkbenchError, match=message):
        track.read(written(tmp_path, TEXT.replace(old, new, 1)))


def test_a_folder_is_named_like_a_track(tmp_path):
    with pytest.raises(NtkbenchError, match="name: String should match pattern"):
        track.read(written(tmp_path, name="Small"))


def row(analysis: str, k: int, **where: str) -> MetricRow:
    return metric_row(analysis, Scalar.share("accuracy", k, 4, where))


def test_a_column_is_one_number():
    column = columns.Column(title="clean", metric="accuracy", where={"target": "self"})
    assert column.row([row("a", 1, target="limit"), row("a", 3, target="self")], "here").k == 3
    assert column.row([row("a", 3, target="self"), row("b", 3, target="self")], "here").k == 3
    with pytest.raises(NtkbenchError, match="here: 2 different numbers are accuracy with target self"):
        column.row([row("a", 3, target="self"), row("b", 2, target="self")], "here")
    with pytest.raises(NtkbenchError, match="here: no accuracy with target self"):
        column.row([], "here")


def test_the_tracks_of_the_repository_are_sound():
    for folder in sorted(path.parent for path in Path("leaderboards").glob("*@*/track.yaml")):
        rules = track.read(folder)
        for label, target in rules.cells.items():
            assert rules.differences(label, target) == rules.violations(target) == []
            check(target, f"{folder}: {label}")
            check(rules.small(target), f"{folder}: {label}: mini")


def test_a_number_of_each_seed_needs_several_of_them(tmp_path):
    text = TEXT.replace("  metric: transfer_rate", "  metric: gradient_cosine", 1)
    text = text.replace("tolerance: {", "tolerance: {cosine: 0.01, ")
    assert not track.read(written(tmp_path, text)).by_point
    with pytest.raises(NtkbenchError, match="compared over seeds, which needs 2 of them or more"):
        track.read(written(tmp_path, text.replace("min_seeds: 3", "min_seeds: 1"), "other@1"))


@pytest.mark.parametrize(
    ("metric", "scale", "on"),
    [
        ("transfer_rate", None, "share"),
        ("normalized_transfer", None, "linear"),
        ("kernel_drift", None, "log"),
        ("transfer_rate", "linear", "linear"),
    ],
)
def test_the_scale_follows_from_the_metric_unless_it_is_told(metric, scale, on):
    assert columns.Rank(title="x", metric=metric, where={}, order="descending", scale=scale).on == on


# ---- targets, bounds, references -----------------------------------------------------------------

TARGETS = TEXT.replace("free: [architecture, width, training, kernels]", "free: [kernels.limit]").replace(
    "frozen: [data, attacks", "frozen: [data, kernels, architecture, width, training, attacks"
)
TARGETS += """\
targets:
  small: {}
  wide: {width: 64, training: {epochs: 20}}
constrain: {kernels.*.kind: infinite, kernels.limit.time: [inf, 10], kernels.limit.ridge: {max: 1}}
qualify:
  - {title: fitted, metric: accuracy, where: {target: self}, min: 0.5}
allow_failed: [gradients_not_zero]
references:
  late: {about: the kernel of the trained network, exempt: [kernels.*.kind]}
  random signs: {about: the floor, value: 0}
  a constant: {about: says one class, column: clean accuracy}
"""


def test_targets_are_the_experiment_with_overrides(tmp_path):
    rules = track.read(written(tmp_path, TARGETS))
    wide = cell(width=64, training={"mode": "standard", "epochs": 20})
    assert dict(rules.cells) == {"small": with_auto_losses(cell()), "wide": with_auto_losses(wide)}
    assert rules.differences("wide", wide) == []
    assert rules.differences("small", wide) == [
        "training.epochs: the track has 10, the runs have 20",
        "width: the track has 32, the runs have 64",
    ]


def test_a_track_of_one_experiment_has_one_target(tmp_path):
    assert dict(track.read(written(tmp_path)).cells) == {"cell": with_auto_losses(cell())}


@pytest.mark.parametrize(
    ("kernel", "told"),
    [
        ({"kind": "infinite"}, []),
        ({"kind": "infinite", "time": 10, "ridge": 1}, []),
        ({"kind": "infinite", "time": 11}, ["kernels.limit.time: the track asks for inf or 10, the runs have 11.0"]),
        ({"kind": "infinite", "ridge": 1.5}, ["kernels.limit.ridge: the track asks for at most 1, the runs have 1.5"]),
        (
            {"kind": "empirical", "at": "final"},
            ["kernels.limit.kind: the track asks for infinite, the runs have empirical"],
        ),
    ],
)
def test_what_is_free_has_bounds(tmp_path, kernel, told):
    """The kernel of the network that was trained is none that needs no training."""
    rules = track.read(written(tmp_path, TARGETS))
    assert rules.violations(cell(kernels={"limit": kernel})) == told
    assert rules.violations(cell(kernels={"limit": kernel}), ["kernels.*.kind"]) == [
        line for line in told if "kind" not in line
    ]


def test_null_is_a_bound(tmp_path):
    """A network that is linearized cannot be where kernels are to move."""
    text = TEXT + "constrain: {training.linearize_at: null, training.mode: [standard, adversarial]}\n"
    rules = track.read(written(tmp_path, text))
    lazy = cell(training={"mode": "linearized", "epochs": 10})
    assert rules.violations(lazy) == ["training.linearize_at: the track asks for null, the runs have 0"]
    assert rules.violations(cell(training={"mode": "none"})) == [
        "training.mode: the track asks for standard or adversarial, the runs have none"
    ]
    assert rules.violations(cell()) == []


def test_no_bound_of_a_training_is_evaded_by_phases(tmp_path):
    rules = track.read(written(tmp_path, TEXT + "constrain: {training.linearize_at: null}\n"))
    phases = [{"mode": "standard", "epochs": epochs, "linearize": "full"} for epochs in (1, 2)]
    told = ["training.phases: the track asks for a training in one mode, the runs have phases"]
    assert rules.violations(cell(training={"phases": phases})) == told
    assert rules.violations(cell(training={"phases": phases[:1]})) == [
        "training.linearize_at: the track asks for null, the runs have 0"
    ]
    assert rules.violations(cell(training={"phases": [{"mode": "standard", "epochs": 3}]})) == []


def test_what_is_free_is_the_same_in_all_cells(tmp_path):
    rules = track.read(written(tmp_path, TARGETS))
    wide = cell(
        width=64, training={"mode": "standard", "epochs": 20}, kernels={"limit": {"kind": "infinite", "ridge": 1}}
    )
    assert rules.unequal([cell(), wide]) == [
        "kernels.limit.ridge: what is free is the same in all cells of an entry, here it is 0.0, 1.0"
    ]
    assert rules.unequal([cell(), cell()]) == []


def test_references_are_entries_or_numbers(tmp_path):
    rules = track.read(written(tmp_path, TARGETS))
    assert rules.exempt("late") == ("kernels.*.kind",)
    assert (rules.exempt("another"), rules.exempt("random signs")) == ((), ())
    assert [rules.is_reference(name) for name in ("late", "random signs", "another")] == [True, False, False]


def test_a_requirement_says_which_seed_misses_it():
    asked = columns.Requirement(title="fit", metric="accuracy", where={"target": "self"}, min=0.8, max=0.9)
    told = [asked.refusal(value, 3) for value in (None, 0.79, 0.8, 0.9, 0.91)]
    assert told == [
        "accuracy with target self has no value in seed 3",
        "accuracy with target self is 0.79 in seed 3; the track asks for at least 0.8",
        None,
        None,
        "accuracy with target self is 0.91 in seed 3; the track asks for at most 0.9",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("wide: {width: 64,", "wide: {width: 0,", r"track.yaml: targets.wide: width: "),
        ("small: {}", "small: {kernels: {limit: {ridge: 1}}}", "targets.small: kernels.limit.ridge is free"),
        ("kernels.*.kind: infinite", "kernels.*.kind: empirical", "targets.small: kernels.limit.kind: the track asks"),
        ("kernels.*.kind: infinite", "kernels.*.sort: infinite", r"constrain.kernels.\*.sort: no experiment has such"),
        ("kernels.*.kind: infinite", "kernels..kind: infinite", "constrain.kernels..kind"),
        ("min: 0.5", "least: 0.5", "qualify.0.least: Extra"),
        (", min: 0.5", "", "accuracy with target self: give it a min or a max"),
        ("exempt: [kernels.*.kind]", "exempt: [seeds]", "references.late: exempt: seeds is no rule of this track"),
        ("column: clean accuracy", "column: clean", "references.a constant: column: no column is called 'clean'"),
        ("value: 0}", "value: 0, column: normalized}", "an entry .exempt., a value, or a column"),
        ("fraction: 0.01", "fraction: 1.0", "tolerance.fraction: at most 0.05"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_rules_is_named(tmp_path, old, new, message):
    assert old in TARGETS
    with pytest.raises(NtkbenchError, match=message):
        track.read(written(tmp_path, TARGETS.replace(old, new, 1)))


def test_a_number_of_what_the_target_has_right_needs_its_accuracy_beside_it(tmp_path):
    text = TEXT.replace("  - {title: clean accuracy, metric: accuracy, where: {target: self}}\n", "")
    with pytest.raises(NtkbenchError, match="counts what its target has right; add a column with its accuracy"):
        track.read(written(tmp_path, text))


def test_seeds_of_subsets_are_the_track_s(tmp_path):
    rules = track.read(written(tmp_path, TEXT + "seed_of: data\n"))
    third = rules.of_seed(cell(), 3)
    assert (third.data.seed, third.data.test_seed) == (3, 0)
    assert with_auto_losses(rules.shared(third)) == with_auto_losses(cell())
    other = track.read(written(tmp_path, TEXT, "other@1"))
    assert other.of_seed(cell(), 3) == other.shared(cell()) == cell()
