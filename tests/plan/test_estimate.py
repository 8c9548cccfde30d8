from dataclasses import replace

import pytest

from ntkbench.plan import read as plan_read
from ntkbench.plan import selections, shapes, timeline
from ntkbench.plan.cost import analyses, kernels, networks
from ntkbench.plan.cost import estimate as cost_estimate
from ntkbench.plan.cost.work import BASE_BYTES, START, Work
from ntkbench.plan.keys import poison_key, solve_key, spectrum_stage, training_key
from ntkbench.plan.runs import Plan
from ntkbench.spec.analyses import Drift, Eigenspace
from ntkbench.spec.cell import Cell
from ntkbench.spec.kernels import InfiniteKernel
from tests.examples.cells import EXAMPLE, cell, changed


def of(path: str, value: object) -> Cell:
    return Cell.model_validate(changed(path, value))


def read(tmp_path, text: str = EXAMPLE) -> Plan:
    (tmp_path / "spec.yaml").write_text(text)
    return plan_read.read(str(tmp_path / "spec.yaml"))


WEIGHTS = [785 * 64, 65 * 64, 65 * 3]
"""of the example's network"""


def passes(first: int, rest: int) -> int:
    """Operations of one example that goes through the first layer and through the others so many times."""
    return 2 * (first * WEIGHTS[0] + rest * sum(WEIGHTS[1:]))


def test_training_by_hand():
    """The first layer has no gradient in its inputs; linearized, two more passes of each kind."""
    plain, linear = passes(2, 3) * 60, passes(3, 5) * 60
    assert networks.training(of("training.linearize_at", None)).dense == 20 * plain
    assert networks.training(cell()).dense == 20 * linear
    late = of("training.linearize_at", 5)
    assert [networks.training(part).dense for part in timeline.trainings(late)] == [5 * plain, 15 * linear]
    assert networks.training(of("numerics", {"network": "float64"})).double == 20 * linear
    assert networks.training(of("training", {"mode": "none"})).dense == 0


def test_steps_move_the_weights():
    """Weights and gradient are read and written, and each further number of the optimizer."""
    words = {"mode": "standard", "epochs": 20, "batch_size": 10}
    sgd, momentum, whole = (
        networks.training(of("training", words | more))
        for more in ({}, {"optimizer": {"kind": "sgd", "momentum": 0.9}}, {"batch_size": None})
    )
    assert (sgd.steps, whole.steps) == (20 * 6, 20)
    assert momentum.moved - sgd.moved == 2 * 4 * sum(WEIGHTS) * 20 * 6
    assert sgd.moved - whole.moved == 4 * 4 * sum(WEIGHTS) * 20 * 5


def test_an_inner_attack_costs_its_gradients():
    """From the end of the warm-up on, and once linearized through the first-order model."""
    attack = {"kind": "pgd", "eps": "8/255", "steps": 7}
    words = {"mode": "adversarial", "attack": attack, "epochs": 20, "batch_size": 10}
    gradient, linear = passes(2, 2) * 60, passes(6, 8) * 60

    def extra(**fields: object) -> list[int]:
        asked = of("training", words | fields)
        learning = (passes(2, 3) * 60, passes(3, 5) * 60)
        return [
            networks.training(part).dense - phase.words.epochs * learning[phase.start > 0]
            for part in timeline.trainings(asked)
            for phase in [timeline.last_phase(part)]
        ]

    assert extra() == [7 * 20 * gradient]
    assert extra(attack={"kind": "fgsm", "eps": 0}) == [20 * gradient]
    assert extra(warm_up=8) == [7 * 12 * gradient]
    assert extra(warm_up=8, linearize_at=5) == [0, 7 * 12 * linear]


def test_an_infinite_kernel_by_hand():
    work = kernels.gram(cell(), cell().kernels["limit"], tile=1000)
    pairs = 60 * 61 // 2
    assert work.double == pairs * 2 * 784 + kernels.EIGH * 60**3
    assert work.entrywise == pairs * (2 * kernels.ARC_COSINE + 3 * kernels.LINEAR)
    assert work.bytes == kernels.MATRICES * 8 * 60**2 + kernels.ALIVE * kernels.CACHED


def test_an_empirical_kernel_has_a_row_for_each_output():
    assert kernels.gram(cell(), cell().kernels["first"], tile=0).bytes == kernels.MATRICES * 8 * (60 * 3) ** 2


def test_an_empirical_kernel_of_dense_layers_by_hand():
    """Three outputs: 784, 64 and 64 features and a bias go in; Gram matrices of inputs and signals, no Jacobian."""
    n, layers = 60, [(785, 64), (65, 64), (65, 3)]
    grams = sum(n**2 * (features + 3**2 * units) for features, units in layers)
    work = kernels.gram(cell(), cell().kernels["first"], tile=10**12)
    assert work.double == passes(1, 1) * n * (1 + 3) + grams + kernels.EIGH * (n * 3) ** 3
    kept = n * 3 * (64 + 64 + 3) + n * 785
    assert work.bytes == kernels.MATRICES * 8 * (n * 3) ** 2 + 8 * kept


def test_an_empirical_kernel_of_convolutions_multiplies_gradients():
    full, n = convolutional(), 60
    first, second, head = (2 * 3 * 1 + 1) * 64, (2 * 3 * 64 + 1) * 64, (784 * 64 + 1) * 3
    gradients = sum(n**2 * 9 * size + 2 * n * 3 * 784 * size for size in (first, second))
    work = kernels.gram(full, full.kernels["first"], tile=0)
    assert work.convolved == 2 * 2 * 784 * (first + second) * n * (1 + 3), "float64 counts twice"
    dense = n**2 * (784 * 64 + 1 + 9 * 3)
    assert work.double == 2 * head * n * (1 + 3) + gradients + dense + kernels.EIGH * (n * 3) ** 3


def test_a_solve_by_hand():
    """The same entries, a third of n^3 in place of a decomposition, and one matrix with a quarter for all else."""
    kernel = cell().kernels["limit"]
    assert isinstance(kernel, InfiniteKernel)
    solved, decomposed = kernels.solve(cell(), kernel, 0), kernels.gram(cell(), kernel, 0)
    assert solved.entrywise == decomposed.entrywise
    assert decomposed.double - solved.double == kernels.EIGH * 60**3 - 60**3 // 3
    assert solved.bytes == 8 * 60**2 * 5 // 4 + kernels.ALIVE * kernels.CACHED


def test_a_regression_alone_is_priced_as_a_solve():
    words = changed("data.n_train", 3000) | {
        "analyses": {"transfer": {"kind": "transfer", "attack": "ntk"}},
        "training": {"mode": "none"},
    }
    asked = Cell.model_validate(words)
    (stage,) = (stage for stage in cost_estimate.stages(asked, 0.0) if stage.name == "kernel.limit")
    kernel = asked.kernels["limit"]
    assert isinstance(kernel, InfiniteKernel)
    assert (stage.key, stage.work) == (solve_key(asked, "limit"), kernels.solve(asked, kernel, 0))


def test_the_first_eigenpairs_alone_are_priced_as_products_and_one_factorization():
    agree = {"kind": "consistency", "target": "limit", "against": ["limit"], "features": [0, 9], "top": [20]}
    asked = Cell.model_validate(changed("data.n_train", 3000) | {"analyses": {"agree": agree}})
    (stage,) = (stage for stage in cost_estimate.stages(asked, 0.0) if stage.name == "spectrum.limit")
    kernel = asked.kernels["limit"]
    assert isinstance(kernel, InfiniteKernel)
    assert (stage.key, stage.work) == (spectrum_stage(asked, "limit")[0], kernels.leading(asked, kernel, 20, 0))
    full, n, products = kernels.gram(asked, kernel, 0), 3000, 20 * kernels.PRODUCTS + kernels.SEARCHED
    entries = full.double - kernels.EIGH * n**3
    assert stage.work.double - entries == 2 * n**2 * 20 + n**3 // 3
    assert stage.work.moved - full.moved == 8 * products * (n**2 + 2 * n * 41)
    assert stage.work.bytes < full.bytes / 2


def test_an_adversarial_fit_is_priced_as_many_solves_with_the_spectrum():
    asked = of("kernels.limit.fit", {"kind": "rkhs_adversarial", "delta": 0.1})
    kernel = asked.kernels["limit"]
    assert isinstance(kernel, InfiniteKernel)
    outputs, n = shapes.outputs(asked.data), asked.data.n_train
    more = kernels.fitting(asked, kernel, 0).double - kernels.gram(asked, kernel, 0).double
    assert more == kernels.SOLVES * outputs * n**3 // 2


def test_a_time_for_each_example_takes_a_decomposition_of_the_others_at_each_step():
    attack = {"kind": "fgsm", "eps": "8/255"}
    asked = of("kernels.limit.fit", {"kind": "adv_ntk", "n_validation": 20, "steps": 5, "attack": attack})
    kernel = asked.kernels["limit"]
    assert isinstance(kernel, InfiniteKernel)
    more = kernels.fitting(asked, kernel, 0).double - kernels.gram(asked, kernel, 0).double
    assert more > 5 * kernels.EIGH * 40**3


def test_a_poison_takes_a_decomposition_of_each_block_before_and_after_each_step():
    poison = {"kind": "ntga", "kernel": "limit", "eps": "8/255", "n_validation": 20, "steps": 4}
    cells = [of("data.poison", poison | {"block": block}) for block in (60, 20)]
    whole, blocks = (kernels.poisoning(cell, 10**6) for cell in cells)
    least = 5 * kernels.EIGH * 60**3
    assert least < whole.double < 40 * least
    assert 3 * 5 * kernels.EIGH * 20**3 < blocks.double < whole.double
    assert blocks.bytes < whole.bytes
    assert kernels.poisoning(of("data.poison", {"kind": "random_sign", "eps": 0.1}), 10**6).running() < 1
    first = next(iter(cost_estimate.stages(cells[0], 1e6)))
    assert (first.name, first.key) == ("poison", poison_key(cells[0]))


def test_a_kernel_costs_the_cube_of_its_examples():
    small, large = (kernels.gram(of("data.n_train", n), cell().kernels["limit"], 0).double for n in (20_000, 40_000))
    assert large / small == pytest.approx(8, rel=0.02)


PAIR = 2 * kernels.ARC_COSINE + 3 * kernels.LINEAR


def test_attacks_on_a_kernel_cost_by_steps_and_budgets():
    """A single step has one gradient for all budgets, one more is compared; budgets are judged, and clean images."""
    single = analyses.crafting_cost(cell(), "ntk", 0)
    assert single.entrywise == 30 * 60 * PAIR * (2 * analyses.BACKWARD + 2)
    more = analyses.crafting_cost(of("attacks.ntk.eps", ["2/255", "4/255", "8/255"]), "ntk", 0)
    assert more.entrywise - single.entrywise == 30 * 60 * PAIR * 2


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        ({"kind": "pgd"}, 1),
        ({"kind": "pgd", "restarts": 3}, 3),
        ({"kind": "apgd", "restarts": 3, "targeted": 2}, 6),
        ({"kind": "apgd", "targeted": 2}, 2),
        ({"kind": "apgd"}, 1),
    ],
)
def test_attacks_on_a_network_cost_by_steps_restarts_and_targets(words: dict[str, object], runs: int):
    """The example's network is linearized."""
    work = analyses.crafting_cost(of("attacks.own", {"eps": ["4/255", "8/255"], "steps": 10, **words}), "own", 0)
    assert work.dense == 30 * (passes(6, 8) * (1 + 2 * 10 * runs) + passes(2, 3) * 3)


@pytest.mark.parametrize(
    ("words", "gradients", "values"),
    [
        ({"kind": "square", "restarts": 3}, 0, 2 * 30),
        ({"kind": "fab", "restarts": 3}, 60, 30),
        ({"kind": "fab", "restarts": 3, "targeted": 1}, 30, 30),
        ({"kind": "autoattack", "queries": 7}, 2 * 50, 2 * 27),
        ({"kind": "autoattack", "queries": 7, "targeted": 1}, 2 * 30, 2 * 17),
    ],
)
def test_attacks_that_look_without_a_gradient(words: dict[str, object], gradients: int, values: int):
    """There are three classes and two budgets, which one search of FAB serves."""
    work = analyses.crafting_cost(of("attacks.own", {"eps": ["4/255", "8/255"], "steps": 10, **words}), "own", 0)
    assert work.dense == 30 * (passes(6, 8) * (1 + gradients) + passes(2, 3) * (3 + values))


def test_random_signs_follow_no_gradient():
    work = analyses.crafting_cost(cell(), "noise", 0)
    assert (work.dense, work.double) == (0, 0)
    assert work.entrywise > 0


def test_a_plan_counts_what_runs_share_once(tmp_path):
    read_once = read(tmp_path)
    estimate = cost_estimate.estimate(read_once)
    assert set(estimate.runs) == {run.id for run in read_once.runs}
    assert sorted(key[0] for key in estimate.stages) == ["c", "k", "t", "t", "t"]
    first = read_once.runs[0].cell
    assert estimate.stages[training_key(first)] == networks.training(first).times(3, 3)
    assert estimate.seconds == pytest.approx(START + estimate.total.seconds())
    assert estimate.peak_bytes > BASE_BYTES
    alone = [cost_estimate.estimate(replace(read_once, runs=(run,))).total for run in read_once.runs]
    assert estimate.total.running() < sum(work.running() for work in alone)
    assert estimate.total.compiling() < sum(work.compiling() for work in alone) / 2, "seeds share what is compiled"


def test_nothing_takes_no_time():
    assert cost_estimate.seconds(Work()) == 0


def test_a_run_has_the_stages_of_its_record():
    found = {stage.name: stage.key for stage in cost_estimate.stages(cell(), 0.0)}
    assert list(found) == [
        *("craft.own", "analysis.clean"),
        *("kernel.limit", "craft.ntk", "analysis.transfer"),
        "analysis.grid",
        *(
            "spectrum.limit",
            "analysis.eigen",
            "analysis.time",
            "spectrum.standard",
            "analysis.agree",
            "analysis.certain",
            "analysis.labels",
            "analysis.drift",
        ),
    ]
    assert found["kernel.limit"] == found["spectrum.limit"], "one object"
    assert [name for name, key in found.items() if not key and not name.startswith("analysis.")] == ["craft.own"]


def test_more_seeds_train_together(tmp_path):
    three, six = (cost_estimate.estimate(read(tmp_path, EXAMPLE.replace("seeds: 3", f"seeds: {n}"))) for n in (3, 6))
    (key, *_) = (key for key in three.stages if key.startswith("t"))
    assert six.stages[key].dense == 2 * three.stages[key].dense
    assert six.stages[key].bytes == 2 * three.stages[key].bytes


def test_a_plan_of_kernels_alone(tmp_path):
    text = (
        "{ntkbench: 1, name: k, data: {dataset: mnist, n_train: 100, n_test: 10}, architecture: {kind: fc},"
        "kernels: {limit: {kind: infinite}}, analyses: {clean: {kind: accuracy, target: limit}}}"
    )
    estimate = cost_estimate.estimate(read(tmp_path, text))
    assert [key[0] for key in estimate.stages] == ["k"]
    assert estimate.total.dense == 0
    assert estimate.seconds > 0


CONVOLUTIONAL = {"kind": "conv", "depth": 2, "window": [3, 2], "W_std": 1.0}


def convolutional(**fields: object) -> Cell:
    return Cell.model_validate(changed("architecture", CONVOLUTIONAL | fields))


def test_a_convolution_has_a_rate_of_its_own():
    first, second, head = 784 * (3 * 2 * 1 + 1) * 64, 784 * (3 * 2 * 64 + 1) * 64, (784 * 64 + 1) * 3
    work = networks.training(convolutional())
    assert work.convolved == 20 * 60 * 2 * (3 * first + 5 * second)
    assert work.dense == 20 * 60 * 2 * 5 * head


@pytest.mark.parametrize(("head", "entries"), [("flatten", 784), ("gap", 784**2)])
def test_a_limit_costs_by_the_pairs_of_positions_that_it_tells_apart(head: str, entries: int):
    asked = convolutional(head=head)
    kernel = asked.kernels["limit"]
    assert isinstance(kernel, InfiniteKernel)
    layer = kernels.SHIFT * (3 + 2) + kernels.LINEAR + kernels.ARC_COSINE
    work = kernels.gram(asked, kernel, tile=0)
    assert work.entrywise == 60 * 61 // 2 * (2 * entries * layer + 2 * entries + kernels.LINEAR)
    assert work.double == 60 * 61 // 2 * 2 * entries + kernels.EIGH * 60**3
    assert work.bytes == kernels.MATRICES * 8 * 60**2 + kernels.ALIVE * max(kernels.CACHED, entries * 8)


def test_quadrature_is_dearer_than_a_closed_form():
    relu, tanh = (convolutional(activation=name) for name in ("relu", "tanh"))
    dear, cheap = (kernels.gram(each, each.kernels["limit"], 0).entrywise for each in (tanh, relu))
    assert dear > 100 * cheap


def test_parts_of_a_kernel_cost_a_row_each():
    """64 of 60 features: all; 20 truncations, those of the grid, k90 and all, with their tails, 3 groups."""
    analysis = cell().analyses["eigen"]
    assert isinstance(analysis, Eigenspace)
    several = {*selections.spaced(20, 60), 1, 2, 5, 10, 20, 50}
    assert len(several) > 20
    members = 60 + 2 * (len(several) + 2) + 3
    work = analyses.spectral_cost(cell(), analysis, 0)
    assert work.entrywise == 30 * 60 * PAIR * (analyses.BACKWARD + members), "one budget"
    gradients = 2 * 30 * members * 60 * 784
    assert work.double == 2 * 784 * 30 * 60 * (analyses.BACKWARD + members) + gradients + 2 * 30 * 60**2
    twice = analyses.spectral_cost(of("data.n_test", 60), analysis, 0)
    assert twice.double == 2 * work.double
    steps = analyses.spectral_cost(cell(), analysis.model_copy(update={"attack": "own"}), 0)
    assert steps.entrywise == 30 * 60 * PAIR * (analyses.BACKWARD + members * (1 + analyses.BACKWARD * 10))


def test_an_attack_on_parts_is_not_crafted(tmp_path):
    eigen = "analyses: {eigen: {kind: eigenspace, target: limit, attack: ntk}}\n"
    text = EXAMPLE.partition("analyses:")[0] + eigen
    keys = cost_estimate.estimate(read(tmp_path, text)).stages
    assert sorted(key[0] for key in keys) == ["k", "t"]


def test_a_course_costs_a_kernel_a_snapshot():
    """Twenty snapshots and init; kernels of 30 examples and 3 outputs, their eigenvectors, the test set."""
    drift = cell().analyses["drift"]
    assert isinstance(drift, Drift)
    work, rows = analyses.drift_cost(cell(), drift, 0), 90
    layers = sum(30**2 * (features + 3**2 * units) for features, units in [(785, 64), (65, 64), (65, 3)])
    eigen = (kernels.EIGH + 2) * rows**3 + 21 * rows**2
    assert work.double == 21 * (passes(1, 1) * 30 * (1 + 3) + layers + eigen)
    assert work.dense == 21 * passes(2, 3) * 30, "linearized, on the test set"
    assert work.bytes == 2 * 21 * rows**2 + 48 * rows**2
    more = analyses.drift_cost(cell(), drift.model_copy(update={"attack": "own", "adversarial_probe": "own"}), 0)
    assert more.double == 2 * work.double
    assert more.dense > work.dense + 2 * 21 * 30 * 11 * passes(6, 8)


def test_the_norm_of_a_gradient_costs_a_gradient_an_example():
    one, other = (of("analyses.clean.gradient_norm", asked) for asked in (False, True))
    plain, more = (analyses._analysis(each, each.analyses["clean"], 0) for each in (one, other))
    assert more.dense - plain.dense == 30 * passes(6, 8), "the example's network is linearized"
