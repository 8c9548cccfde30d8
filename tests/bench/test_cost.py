import pytest

from ntkbench.bench import blueprint, cost, plan, shapes
from ntkbench.bench.architecture import FC, Architecture
from ntkbench.bench.spec import Cell, Drift, Eigenspace, InfiniteKernel
from ntkbench.bench.stages import training_key
from tests.bench.cells import EXAMPLE, cell, changed


def of(path: str, value: object) -> Cell:
    return Cell.model_validate(changed(path, value))


def read(tmp_path, text: str = EXAMPLE) -> plan.Plan:
    (tmp_path / "spec.yaml").write_text(text)
    return plan.read(str(tmp_path / "spec.yaml"))


def weights(cell: Cell) -> int:
    return cost.parameters(cost.network(cell))


def walk(architecture: Architecture, shape: shapes.Shape, width: int, outputs: int) -> list[shapes.Step]:
    return list(shapes.steps(blueprint.layers(architecture), shape, shapes.Sizes(width, outputs)))


def test_parameters_of_a_small_network_by_hand():
    assert cost.parameters(walk(FC(kind="fc", depth=1, b_std=None), (3,), 5, 2)) == 3 * 5 + 5 * 2
    assert cost.parameters(walk(FC(kind="fc", depth=3), (3,), 5, 2)) == (3 * 5 + 5) + 2 * (5 * 5 + 5) + (5 * 2 + 2)


def test_training_by_hand():
    """6 P n an epoch, twice that once linearized: from the start, from epoch 5 of 20, never."""
    epoch = 6 * weights(cell()) * 60
    assert cost.training(cell()).single == 2 * 20 * epoch
    assert cost.training(of("training.linearize_at", 5)).single == (5 + 2 * 15) * epoch
    assert cost.training(of("training.linearize_at", None)).single == 20 * epoch
    assert cost.training(of("numerics", {"network": "float64"})).double == 2 * 20 * epoch
    untrained = cost.training(of("training", {"mode": "none"}))
    assert untrained.single == 0
    assert untrained.bytes == 4 * epoch / 360


def test_an_inner_attack_costs_its_gradients():
    """4 P an example and step, from the end of the warm-up on, twice that once linearized."""
    attack = {"kind": "pgd", "eps": "8/255", "steps": 7}
    words = {"mode": "adversarial", "attack": attack, "epochs": 20, "batch_size": 10}
    clean = of("training", {"mode": "standard", "epochs": 20, "batch_size": 10})
    gradient = 4 * weights(cell()) * 60

    def extra(**fields: object) -> float:
        return cost.training(of("training", {**words, **fields})).single - cost.training(clean).single

    assert extra() == 7 * 20 * gradient
    assert extra(attack={"kind": "fgsm", "eps": 0}) == 20 * gradient
    assert extra(warm_up=8) == 7 * 12 * gradient
    assert extra(warm_up=8, linearize_at=5) == 7 * (12 + 12) * gradient + 15 * 6 * weights(cell()) * 60
    assert cost.training(of("training", words)).bytes == cost.training(clean).bytes + 4 * 2 * 10 * 784


def test_memory_grows_with_the_state_of_the_optimizer():
    sgd, momentum, adam = (
        cost.training(of("training.optimizer", optimizer)).bytes
        for optimizer in ({"kind": "sgd"}, {"kind": "sgd", "momentum": 0.9}, {"kind": "adam"})
    )
    size = 4 * weights(cell())
    assert (momentum - sgd, adam - sgd) == (size, 2 * size)


def test_an_infinite_kernel_by_hand():
    work = cost.gram(cell(), cell().kernels["limit"], tile=1000)
    pairs = 60 * 61 // 2 * (2 * 784 + 2 * cost.ARC_COSINE + 3 * cost.LINEAR)
    assert work.double == pairs + 9 * 60**3
    assert work.bytes == 3 * 8 * 60**2 + 1000


def test_an_empirical_kernel_has_a_row_for_each_output():
    assert cost.gram(cell(), cell().kernels["first"], tile=0).bytes == 3 * 8 * (60 * 3) ** 2


def test_an_empirical_kernel_of_dense_layers_by_hand():
    """Three outputs: 784, 64 and 64 features and a bias go in; Gram matrices of inputs and signals, no Jacobian."""
    n, layers = 60, [(785, 64), (65, 64), (65, 3)]
    backward = 2 * weights(cell()) * n * (1 + 3)
    grams = sum(n**2 * (features + 3**2 * units) for features, units in layers)
    work = cost.gram(cell(), cell().kernels["first"], tile=1e12)
    assert work.double == backward + grams + 9 * (n * 3) ** 3
    left = (64 + 64 + 3) + 785 * 64
    assert work.bytes == 3 * 8 * (n * 3) ** 2 + 8 * n * 3 * left


def test_an_empirical_kernel_of_convolutions_multiplies_gradients():
    full, n = convolutional(), 60
    first, second, head = (2 * 3 * 1 + 1) * 64, (2 * 3 * 64 + 1) * 64, (784 * 64 + 1) * 3
    gradients = sum(n**2 * 9 * size + 2 * n * 3 * 784 * size for size in (first, second))
    backward = 2 * (784 * (first + second) + head) * n * (1 + 3)
    dense = n**2 * (784 * 64 + 1 + 9 * 3)
    work = cost.gram(full, full.kernels["first"], tile=0)
    assert work.double == backward + gradients + dense + 9 * (n * 3) ** 3


def test_a_kernel_costs_the_cube_of_its_examples():
    small, large = (cost.gram(of("data.n_train", n), cell().kernels["limit"], 0).double for n in (20_000, 40_000))
    assert large / small == pytest.approx(8, rel=0.02)


def test_attacks_cost_by_steps_and_budgets():
    single = cost.crafting(cell(), "ntk", 0)
    assert single.double == 3 * (30 * 2) * 60 * (2 * 784 + 2 * cost.ARC_COSINE + 3 * cost.LINEAR)
    more = cost.crafting(of("attacks.ntk.eps", ["2/255", "4/255", "8/255"]), "ntk", 0)
    assert more.double == 2 * single.double
    assert cost.crafting(cell(), "own", 0).single == 3 * (30 * 11) * 2 * weights(cell())
    assert cost.crafting(cell(), "noise", 0) == cost.Work()


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        ({"kind": "pgd", "restarts": 3}, 3),
        ({"kind": "apgd", "restarts": 3, "targeted": 2}, 6),
        ({"kind": "apgd", "targeted": 2}, 2),
        ({"kind": "apgd"}, 1),
    ],
)
def test_restarts_and_targets_are_runs_of_their_own(words: dict[str, object], runs: int):
    work = cost.crafting(of("attacks.own", {"eps": "8/255", "steps": 10, **words}), "own", 0)
    assert work.single == 3 * 30 * (1 + 10 * runs) * 2 * weights(cell())


def test_work_adds_up_and_memory_is_used_again():
    assert cost.Work(1, 2, 30) + cost.Work(10, 20, 3) == cost.Work(11, 22, 30)
    assert cost.Work(1, 2, 30).together(2) == cost.Work(2, 4, 60)
    assert cost.Work(cost.SINGLE_RATE, cost.DOUBLE_RATE).seconds == 2


def test_a_plan_counts_what_runs_share_once(tmp_path):
    read_once = read(tmp_path)
    estimate = cost.estimate(read_once)
    assert set(estimate.runs) == {run.id for run in read_once.runs}
    assert sorted(key[0] for key in estimate.stages) == ["c", "k", "t", "t", "t"]
    first = read_once.runs[0].cell
    assert estimate.stages[training_key(first)] == cost.training(first).together(3)
    assert estimate.seconds == pytest.approx(estimate.total.seconds)
    assert estimate.peak_bytes >= 64e6
    assert estimate.seconds < sum(cost.alone(run, 64e6).seconds for run in read_once.runs)


def test_more_seeds_train_together(tmp_path):
    three, six = (cost.estimate(read(tmp_path, EXAMPLE.replace("seeds: 3", f"seeds: {n}"))) for n in (3, 6))
    (key, *_) = (key for key in three.stages if key.startswith("t"))
    assert six.stages[key].single == 2 * three.stages[key].single
    assert six.stages[key].bytes == 2 * three.stages[key].bytes


def test_a_plan_of_kernels_alone(tmp_path):
    text = (
        "{ntkbench: 1, name: k, data: {dataset: mnist, n_train: 100, n_test: 10}, architecture: {kind: fc},"
        "kernels: {limit: {kind: infinite}}, analyses: {clean: {kind: accuracy, target: limit}}}"
    )
    estimate = cost.estimate(read(tmp_path, text))
    assert [key[0] for key in estimate.stages] == ["k"]
    assert estimate.total.single == 0
    assert estimate.seconds > 0


CONVOLUTIONAL = {"kind": "conv", "depth": 2, "window": [3, 2], "W_std": 1.0}


def convolutional(**fields: object) -> Cell:
    return Cell.model_validate(changed("architecture", CONVOLUTIONAL | fields))


def test_a_convolution_multiplies_at_every_position():
    first, second, head = (3 * 2 * 1 + 1) * 64, (3 * 2 * 64 + 1) * 64, (784 * 64 + 1) * 3
    network = cost.network(convolutional())
    assert cost.parameters(network) == first + second + head
    assert cost.products(network) == 784 * (first + second) + head
    assert cost.activations(network) == 2 * 784 * 64
    assert cost.training(convolutional()).single == 2 * 20 * 6 * 60 * cost.products(network)


@pytest.mark.parametrize(("head", "entries"), [("flatten", 784), ("gap", 784**2)])
def test_a_limit_costs_by_the_pairs_of_positions_that_it_tells_apart(head: str, entries: int):
    asked = convolutional(head=head)
    kernel = asked.kernels["limit"]
    assert isinstance(kernel, InfiniteKernel)
    pair = 2 * entries + 2 * entries * (2 * (3 + 2) + cost.LINEAR + cost.ARC_COSINE) + 2 * entries + cost.LINEAR
    assert cost.gram(asked, kernel, tile=1e12).double == 60 * 61 // 2 * pair + 9 * 60**3
    assert cost.gram(asked, kernel, tile=0).bytes == 3 * 8 * 60**2 + cost.ALIVE * entries * 8
    assert cost.row_entries(asked, kernel) == 2 * entries + 1


def test_quadrature_is_dearer_than_a_closed_form():
    relu, tanh = (convolutional(activation=name) for name in ("relu", "tanh"))
    assert cost.gram(tanh, tanh.kernels["limit"], 0).double > 100 * cost.gram(relu, relu.kernels["limit"], 0).double


def test_parts_of_a_kernel_cost_a_predictor_each():
    """64 of 60 features: all; 20 truncations and tails, 3 groups. One gradient, one budget and the clean point each."""
    analysis = cell().analyses["eigen"]
    assert isinstance(analysis, Eigenspace)
    pair = 2 * 784 + 2 * cost.ARC_COSINE + 3 * cost.LINEAR
    work = cost.dissecting(cell(), analysis, 0)
    assert work.double == 30 * 3 * (60 + 40 + 3) * 60 * pair + 2 * 30 * 60**2
    twice = cost.dissecting(of("data.n_test", 60), analysis, 0)
    assert twice.double == 2 * work.double
    steps = cost.dissecting(cell(), analysis.model_copy(update={"attack": "own"}), 0)
    assert steps.double == 30 * (1 + 2 * 10 + 1) * 103 * 60 * pair + 2 * 30 * 60**2


def test_an_attack_on_parts_is_not_crafted(tmp_path):
    eigen = "analyses: {eigen: {kind: eigenspace, target: limit, attack: ntk}}\n"
    text = EXAMPLE.partition("analyses:")[0] + eigen
    keys = cost.estimate(read(tmp_path, text)).stages
    assert sorted(key[0] for key in keys) == ["k", "t"]


def test_a_course_costs_a_kernel_a_snapshot():
    """Twenty snapshots and init; kernels of 30 examples and 3 outputs, their eigenvectors, the test set."""
    drift = cell().analyses["drift"]
    assert isinstance(drift, Drift)
    work, rows = cost.following(cell(), drift, 0), 90
    signals = 2 * weights(cell()) * 30 * (1 + 3)
    layers = sum(30**2 * (features + 3**2 * units) for features, units in [(785, 64), (65, 64), (65, 3)])
    assert work.single == 21 * 2 * weights(cell()) * 30
    assert work.double == 21 * (signals + layers + 11 * rows**3 + 21 * rows**2)
    assert work.bytes == 2 * 21 * rows**2 + 48 * rows**2
    more = cost.following(cell(), drift.model_copy(update={"attack": "own", "adversarial_probe": "own"}), 0)
    assert more.double == 2 * work.double
    assert more.single > work.single + 2 * 21 * 3 * (30 * 11) * 2 * weights(cell())
