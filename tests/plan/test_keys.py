import pytest

from ntkbench.plan.keys import (
    REVISIONS,
    craft_key,
    data_key,
    kernel_key,
    poison_key,
    regression_stage,
    shared_stages,
    solve_key,
    spectrum_stage,
    training_key,
)
from ntkbench.spec.cell import Cell
from ntkbench.spec.data import NTGA
from tests.examples.cells import OTHER, cell, changed, other

DATA = {path for path in OTHER if path.startswith("data.")}
TRAINING_DATA = DATA - {"data.n_test", "data.test_seed"}
ARCHITECTURE = {path for path in OTHER if path.startswith("architecture.")}
KEYS = {
    "data": (data_key, DATA),
    "training": (
        training_key,
        TRAINING_DATA
        | ARCHITECTURE
        | {"width", "numerics.network"}
        | {path for path in OTHER if path.startswith("training.")},
    ),
    "limit": (
        lambda cell: kernel_key(cell, "limit"),
        TRAINING_DATA | ARCHITECTURE | {"kernels.limit.type", "kernels.limit.architecture", "numerics.kernel"},
    ),
    "standard": (
        lambda cell: kernel_key(cell, "standard"),
        TRAINING_DATA
        | {"width", "numerics.kernel", "kernels.standard.type", "kernels.standard.width"}
        | {path for path in OTHER if path.startswith("kernels.standard.architecture.")},
    ),
    "craft": (
        lambda cell: craft_key(cell, "ntk"),
        DATA
        | ARCHITECTURE
        | {"numerics.kernel"}
        | {path for path in OTHER if path.startswith(("kernels.limit.", "attacks.ntk."))},
    ),
}


@pytest.mark.parametrize("stage", KEYS)
def test_a_key_changes_with_what_the_result_depends_on_and_with_nothing_else(stage: str):
    key, matters = KEYS[stage]
    assert {path for path in OTHER if key(other(path)) != key(cell())} == matters


def test_keys_of_different_stages_and_attacks_differ():
    keys = [key(cell()) for key, _ in KEYS.values()]
    assert len(set(keys)) == len(keys)
    assert [key[0] for key in keys] == ["d", "t", "k", "k", "c"]


def test_ids_leave_no_trace_in_keys():
    renamed = Cell.model_validate(
        changed("attacks", {"x": {"kind": "fgsm", "source": "y", "eps": "8/255"}})
        | {"kernels": {"y": {"kind": "infinite"}}, "analyses": {"clean": {"kind": "accuracy", "target": "y"}}}
    )
    assert kernel_key(renamed, "y") == kernel_key(cell(), "limit")
    assert craft_key(renamed, "x") == craft_key(cell(), "ntk")


def test_only_infinite_kernels_have_keys():
    with pytest.raises(ValueError, match="first is not an infinite kernel"):
        kernel_key(cell(), "first")
    with pytest.raises(ValueError, match="self is not an infinite kernel"):
        craft_key(cell(), "own")
    with pytest.raises(ValueError, match="noise follows no gradient"):
        craft_key(cell(), "noise")


def regressions(n_train: int = 2000, architecture: object = None, **analyses: object) -> Cell:
    """A cell that judges a kernel at infinite time, and one with a ridge."""
    words = {
        "data": changed("data.n_train", n_train)["data"] | {"dataset": "mnist", "classes": None},
        "architecture": architecture or {"kind": "fc", "depth": 1},
        "kernels": {"limit": {"kind": "infinite"}, "ridged": {"kind": "infinite", "ridge": 0.1}},
        "attacks": {"fast": {"kind": "fgsm", "source": "limit", "eps": "8/255"}},
        "analyses": {"clean": {"kind": "accuracy", "target": "limit"}, **analyses},
    }
    return Cell.model_validate(words)


def test_a_regression_at_infinite_time_is_one_solve_for_each_ridge():
    found = list(shared_stages(regressions()))
    assert [stage for stage, _, _ in found] == ["solve", "solve"]
    (_, one, _), (_, two, _) = found
    assert one != two
    assert (one[0], one) == ("s", solve_key(regressions(), "limit"))
    assert solve_key(regressions(n_train=2001), "limit") != one


@pytest.mark.parametrize(
    "cell",
    [
        regressions(n_train=1999),
        regressions(study={"kind": "time", "target": "ridged", "attack": "fast"}),
        regressions(study={"kind": "label_flips", "target": "limit"}),
        regressions(study={"kind": "certificate", "target": "limit", "eps": "8/255"}),
        regressions(architecture={"kind": "conv", "depth": 1, "head": "gap"}),
        regressions(architecture={"kind": "fc", "depth": 1, "activation": "tanh"}),
    ],
    ids=[
        "few examples",
        "a spectrum is there anyway",
        "labels are flipped",
        "a radius is certified",
        "entries cost more",
        "quadrature costs more",
    ],
)
def test_a_regression_takes_the_spectrum_where_that_is_better(cell: Cell):
    assert regression_stage(cell, "limit") == ("kernel", kernel_key(cell, "limit"))


def test_another_fit_is_a_solve_of_its_own_and_changes_what_is_crafted_on_it():
    words = regressions(n_train=100).model_dump(mode="json")
    words["analyses"]["clean"]["attacks"] = ["fast"]
    words["kernels"]["limit"]["fit"] = {"kind": "rkhs_adversarial", "delta": 0.1}
    one = Cell.model_validate(words)
    words["kernels"]["limit"]["fit"]["delta"] = 0.2
    two = Cell.model_validate(words)
    assert kernel_key(one, "limit") == kernel_key(regressions(n_train=100), "limit")
    assert [stage for stage, _, _ in shared_stages(one)] == ["solve", "kernel", "craft"]
    assert solve_key(one, "limit") != solve_key(two, "limit")
    assert craft_key(one, "fast") != craft_key(two, "fast")


def test_a_regression_at_a_finite_time_takes_the_spectrum():
    words = regressions().model_dump(mode="json")
    words["kernels"]["limit"]["time"] = 3.0
    assert {regression_stage(Cell.model_validate(words), name)[0] for name in ("limit", "ridged")} == {"kernel"}


AGREE = {"kind": "consistency", "target": "limit", "against": ["deep"], "features": [0, 10, 40], "top": [1, 50]}


def taken_apart(n_train: int = 2000, **changes: object) -> Cell:
    """A cell that compares the first features of two kernels; `changes` are of the analysis, or sections."""
    words = regressions(n_train).model_dump(mode="json")
    words["kernels"] = {"limit": {"kind": "infinite"}, "deep": {"kind": "infinite", "architecture": DEEP}}
    own = {name: value for name, value in changes.items() if name in ("features", "top", "attack")}
    words["analyses"] = {"agree": AGREE | own}
    for name in changes.keys() - own.keys():
        words[name] |= changes[name]
    return Cell.model_validate(words)


DEEP = {"kind": "fc", "depth": 2}
JUDGED = {"clean": {"kind": "accuracy", "target": "limit"}}


def test_the_first_eigenpairs_have_a_key_of_their_own():
    cell = taken_apart()
    key, top = spectrum_stage(cell, "limit")
    assert (top, key[0]) == (50, "k")
    assert key != kernel_key(cell, "limit")
    assert spectrum_stage(taken_apart(top=[51]), "limit") == (spectrum_stage(taken_apart(top=[51]), "limit")[0], 51)
    assert spectrum_stage(taken_apart(top=[51]), "limit")[0] != key
    assert spectrum_stage(taken_apart(features=[3]), "limit") == (key, 50)
    assert list(shared_stages(cell)) == [("kernel", spectrum_stage(cell, name)[0], name) for name in ("limit", "deep")]


def test_features_are_asked_for_with_the_eigenvalue_after_them():
    assert spectrum_stage(taken_apart(features=[0, 60]), "deep")[1] == 62


def test_a_regression_with_a_kernel_whose_first_eigenpairs_are_known_is_one_solve():
    cell = taken_apart(analyses=JUDGED)
    assert regression_stage(cell, "limit") == ("solve", solve_key(cell, "limit"))
    assert [(stage, name) for stage, _, name in shared_stages(cell)] == [
        ("kernel", "limit"),
        ("solve", "limit"),
        ("kernel", "deep"),
    ]


@pytest.mark.parametrize(
    "cell",
    [
        taken_apart(n_train=1999),
        taken_apart(top=[101]),
        taken_apart(features=20),
        taken_apart(features="all"),
        taken_apart(analyses={"study": {"kind": "eigenspace", "target": "limit", "attack": "fast"}}),
        taken_apart(analyses={"study": {"kind": "time", "target": "limit", "attack": "fast"}}),
        taken_apart(analyses={"study": {"kind": "label_flips", "target": "limit"}}),
        taken_apart(analyses={"study": {"kind": "certificate", "target": "limit", "eps": "8/255"}}),
        taken_apart(kernels={"early": {"kind": "infinite", "time": 3.0}}),
        taken_apart(kernels={"robust": {"kind": "infinite", "fit": {"kind": "rkhs_adversarial", "delta": 0.1}}}),
        taken_apart(architecture={"activation": "tanh"}),
    ],
    ids=[
        "few examples",
        "too many eigenpairs",
        "features up to the last",
        "all features",
        "the whole predictor",
        "times and ridges",
        "labels are flipped",
        "a radius is certified",
        "the same kernel at a finite time",
        "the same kernel, fitted otherwise",
        "entries cost more",
    ],
)
def test_all_eigenpairs_are_computed_where_something_asks_for_them_or_few_save_nothing(cell: Cell):
    key = kernel_key(cell, "limit")
    assert spectrum_stage(cell, "limit") == (key, None)
    assert ("kernel", key, "limit") in shared_stages(cell)


def poisoned(**changes: object) -> Cell:
    """A cell whose training images fool the kernel `limit`; `changes` are of the poison, or sections of the cell."""
    poison: dict[str, object] = {"kind": "ntga", "kernel": "limit", "eps": "8/255", "n_validation": 20}
    poison |= {name: changes.pop(name) for name in tuple(changes) if name in NTGA.model_fields}
    words = regressions(n_train=100).model_dump(mode="json")
    words["data"]["poison"] = poison
    words |= changes
    return Cell.model_validate(words)


def test_poisoned_images_are_made_before_all_that_is_fitted_to_them():
    stages = [(stage, name) for stage, _, name in shared_stages(poisoned())]
    assert stages == [("poison", "ntga"), ("kernel", "limit"), ("kernel", "ridged")]
    clean = regressions(n_train=100)
    for key in (data_key, training_key, lambda cell: kernel_key(cell, "limit")):
        assert key(poisoned()) != key(clean)
    assert poison_key(poisoned())[0] == "p"


def test_a_poison_depends_on_each_of_its_fields():
    other = {"eps": "4/255", "time": 3.0, "n_validation": 21, "steps": 3, "step_size": "1/255", "block": 50}
    assert {*other, "kind", "kernel"} == set(NTGA.model_fields)
    for name, value in other.items():
        assert poison_key(poisoned(**{name: value})) != poison_key(poisoned())


def test_a_poison_depends_on_the_kernel_that_it_fools_and_not_on_its_id_or_how_it_is_fitted():
    same = {"fools": {"kind": "infinite", "time": 3.0, "ridge": 1.0}, "limit": {"kind": "infinite", "type": "nngp"}}
    attacks = {"attacks": {}, "analyses": {"clean": {"kind": "accuracy", "target": "limit"}}}
    assert poison_key(poisoned(kernel="fools", kernels=same, **attacks)) == poison_key(poisoned())
    assert poison_key(poisoned(kernels=same, **attacks)) != poison_key(poisoned())
    deeper = poisoned(architecture={"kind": "fc", "depth": 2})
    assert poison_key(deeper) != poison_key(poisoned())


def test_a_poison_does_not_depend_on_test_examples_and_networks():
    for change in ({"width": 64}, {"numerics": {"kernel": "float32"}}):
        assert poison_key(poisoned(**change)) == poison_key(poisoned())
    more = poisoned().model_dump(mode="json")
    more["data"]["n_test"] = 7
    assert poison_key(Cell.model_validate(more)) == poison_key(poisoned())


def test_golden_keys():
    """A change of these computes every stage anew: raise a revision instead, where results change."""
    assert dict(REVISIONS) == {"data": 1, "training": 1, "kernel": 1, "solve": 1, "craft": 1, "poison": 1}
    said = other("attacks.ntk.loss")  # cross_entropy
    assert [key(said) for key, _ in KEYS.values()] == [
        "dz2avt37602mn",
        "ty0pn983tsz86",
        "k3scftkmp03tf",
        "kt8qbefdxdsda",
        "c1dnt389trc5w",
    ]
    moved = other("attacks.own.source").attacks["own"].model_copy(update={"loss": "cross_entropy"})
    assert craft_key(cell().model_copy(update={"attacks": {"own": moved}}), "own") == "cwr5sc8phermj"


def test_a_loss_that_goes_without_saying_leaves_no_trace_in_keys():
    said = Cell.model_validate(changed("attacks.ntk.loss", "margin"))
    assert craft_key(said, "ntk") == craft_key(cell(), "ntk")
