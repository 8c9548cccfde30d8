"""Build what the science computes with from the sections of a spec: the only place where words become numbers.

Each function takes a validated cell, or a section of it, and returns objects of `data`, `ntk` or `analyses`.
"""

import functools
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from ntkbench.analyses.craft import Threat
from ntkbench.bench import contents, extensions, objectives, regimes, sizes, spec, threats, timeline
from ntkbench.bench.recipe import recipe
from ntkbench.data import dataset, load, synthetic
from ntkbench.data.catalog import class_numbers, entry
from ntkbench.errors import NumericsError
from ntkbench.ntk import apgd, attacks, balls, batch_norm, infinite, losses, network, regression, training
from ntkbench.ntk.compilation import jit

T = TypeVar("T")
NO_SOURCE = "none"
"""name that records give to the source of an attack that follows no gradient"""

_FIRST_BATCH = 256
"""number of examples whose statistics batch normalization begins with, or all if there are fewer"""

_BALLS: dict[str, balls.Ball] = {"linf": balls.Linf(), "l2": balls.L2()}


def stream(seed: int, purpose: str) -> jax.Array:
    """Return the random key of a seed for one purpose; a key of its own for each, so that new uses shift no other."""
    return jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), zlib.crc32(purpose.encode()))


def examples(data: spec.Data, roots: Sequence[Path]) -> dataset.Dataset:
    """Load or draw the training and test examples; DataError if a data set is not in `roots`, or is not as known."""
    match data.dataset:
        case spec.NamedDataset(name=name):
            numbers = class_numbers(entry(name), data.classes)
            whole = load.load(name, roots)
            return dataset.select(whole, numbers, data.n_train, data.n_test, data.subset, data.seed, data.test_seed)
        case spec.TwoGaussians() as s:
            return synthetic.two_gaussians(
                s.dim, s.distance, s.sd, data.n_train, data.n_test, data.seed, data.test_seed
            )
        case spec.SphereTeacher() as s:
            return synthetic.sphere_teacher(s.dim, s.degree, data.n_train, data.n_test, data.seed, data.test_seed)
        case spec.ExtensionDataset() as words:
            known = words.entry
            build = extensions.builder(words)
            with contents.guarded(words, words.builder):
                built = build(words, roots)
            whole = load.verified(built, known, f"the builder {words.builder}")
            numbers = class_numbers(known, data.classes)
            return dataset.select(whole, numbers, data.n_train, data.n_test, data.subset, data.seed, data.test_seed)


def outputs(examples: dataset.Dataset) -> int:
    """Return the number of outputs of a network: one a class, a single one for two classes."""
    c = len(examples.classes)
    return 1 if c == 2 else c


def require_classes(examples: dataset.Dataset) -> None:
    """Raise NumericsError if a split has one class alone: the usefulness of features is undefined then."""
    for name, split in (("training", examples.train), ("test", examples.test)):
        found = np.unique(split.labels)
        if len(found) < 2:
            raise NumericsError(
                f"all {len(split)} {name} examples are of one class, {examples.classes[found[0]]}: no feature tells "
                "classes apart there; take more examples, or subset: balanced"
            )


_SCALE = "a kernel of such a scale cannot be inverted; change W_std, b_std or depth"


def require_finite(values: T, what: str, advice: str) -> T:
    """Return the values; NumericsError with `what` and `advice` if one of them is not finite."""
    if not np.all(np.isfinite(np.asarray(values))):
        raise NumericsError(f"{what} are not finite: {advice}")
    return values


def require_sound(spectrum: regression.Spectrum, name: str, dtype: str) -> None:
    """Raise NumericsError if the spectrum of the kernel `name` is not finite, or has no positive eigenvalue."""
    other = "float64 or " if dtype == "float32" else ""
    advice = f"; try numerics.kernel: {other}another W_std" if other else "; try another W_std"
    try:
        regression.require_sound(spectrum, f"{advice}, b_std or depth")
    except NumericsError as error:
        raise NumericsError(f"kernel {name}: {error}") from None


def targets(data: spec.Data, labels: np.ndarray, outputs: int) -> jax.Array:
    """Return the regression targets of integer labels, (n, outputs), float64."""
    return _encoded(jnp.asarray(labels), outputs, data.targets == "centered")


@eqx.filter_jit
def _encoded(labels, outputs, centered):
    encode = functools.partial(losses.encode, c=outputs, centered=centered, dtype=jnp.float64)
    return jax.vmap(encode)(labels)


def infinite_kernel(cell: spec.Cell, kernel: spec.InfiniteKernel, outputs: int) -> infinite.InfiniteKernel:
    """Return the infinite kernel; its width, by default the cell's, matters in the standard parameterization alone."""
    width = kernel.width or cell.width or 1
    return infinite.InfiniteKernel(recipe(kernel.architecture or cell.architecture, width, outputs), kernel.type)


def networks(cell: spec.Cell, seeds: Sequence[int], shape: tuple[int, ...], outputs: int) -> network.Network:
    """Draw the initial networks of several seeds, stacked along a first axis, for examples of `shape`."""
    assert cell.width is not None
    drawn = recipe(cell.architecture, cell.width, outputs)
    keys = jnp.stack([stream(seed, "init") for seed in seeds])
    return _draw(drawn, shape, jnp.dtype(cell.numerics.network), keys)


@eqx.filter_jit
def _draw(recipe, shape, dtype, keys):
    return eqx.filter_vmap(lambda key: network.initialize(recipe, shape, key=key, dtype=dtype))(keys)


def settled(networks: network.Network, examples: dataset.Split) -> network.Network:
    """Return the networks with batch normalization statistics from the first training examples, if they have any."""
    if not (there := batch_norm.statistics(networks.weights)):
        return networks
    return _settle(networks, jnp.asarray(examples.unit(there[0].mean.dtype)[:_FIRST_BATCH]))


_settle = jit(eqx.filter_vmap(network.settled, in_axes=(eqx.if_array(0), None)))


@functools.cache
def loss(name: str, centered: bool = False) -> losses.Loss:
    """Return the loss of that name; cached, since compiled functions compare their static arguments by identity."""
    if name == "cross_entropy":
        return losses.cross_entropy
    if name == "margin":
        return losses.margin
    if name == "dlr":
        return losses.dlr
    assert name in ("squared", "mse"), name
    return functools.partial(losses.squared, centered=centered)


@functools.cache
def targeted_loss(name: str, centered: bool = False) -> losses.TargetedLoss:
    """Return the loss of an attack towards a class, by the name of its loss; cached like `loss`."""
    return losses.dlr_toward if name == "dlr" else functools.partial(losses.toward, loss=loss(name, centered))


def training_loss(cell: spec.Cell, trained: regimes.Trained) -> losses.Loss:
    """Return the loss of a training, on the targets that the cell's data have."""
    return loss(trained.loss, cell.data.targets == "centered")


def optimizer(cell: spec.Cell) -> training.Optimizer:
    """Return a function from a learning rate to the optimizer of the cell's last stretch of training."""
    words = regimes.explicit(cell.training).optimizer.model_copy(update={"learning_rate": 1.0, "schedule": None})
    return _optimizer(words, schedule(cell))


def schedule(cell: spec.Cell) -> optax.Schedule | None:
    """Return the factor on the learning rate by step of the cell's last stretch; None: no schedule."""
    words, steps = regimes.explicit(cell.training).optimizer.schedule, timeline.steps(cell)
    return None if words is None else _schedule(words, steps, timeline.first(cell) * steps)


@functools.cache
def _optimizer(words: regimes.SGD | regimes.Adam, share: optax.Schedule | None) -> training.Optimizer:
    """Return what `optimizer` does; cached like `loss`, without the rate, so that all rates share a compilation."""

    def rates(rate):
        return rate if share is None else lambda step, share=share: rate * share(step)

    match words:
        case regimes.SGD(momentum=momentum, nesterov=nesterov):
            return lambda rate: optax.sgd(rates(rate), momentum or None, nesterov)
        case regimes.Adam(b1=b1, b2=b2, eps=eps):
            return lambda rate: optax.adam(rates(rate), b1, b2, eps)


@functools.cache
def _schedule(words: regimes.Schedule, steps: int, done: int) -> optax.Schedule:
    """Return factors by step, `steps` an epoch; `done` steps of the schedule precede the stretch's first."""
    match words:
        case regimes.Cosine(epochs=epochs, end=end):
            share = optax.cosine_decay_schedule(1.0, (epochs or 0) * steps, end)
        case regimes.WarmupCosine(warm_up=up, epochs=epochs, end=end):
            share = optax.warmup_cosine_decay_schedule(0.0, 1.0, up * steps, (epochs or 0) * steps, end_value=end)
        case regimes.Exponential(factor=factor, every=every, staircase=staircase):
            share = optax.exponential_decay(1.0, every * steps, factor, staircase=staircase)
        case regimes.Piecewise(at=at, factor=factor):
            share = optax.piecewise_constant_schedule(1.0, {epoch * steps: factor for epoch in at})
    return lambda step: share(step + done)


def inner(cell: spec.Cell, keys: jax.Array) -> training.Inner | None:
    """Return the inner attack of the cell's last stretch, one key a seed; None unless training is adversarial."""
    words = objectives.settled(cell).training
    if not isinstance(words, regimes.Adversarial):
        return None
    objective = attacks.Objective(loss(words.attack.loss, cell.data.targets == "centered"))
    return training.Inner(
        _gradient_attack(words.attack, _BALLS[words.attack.norm], objective),
        jnp.asarray(float(words.attack.eps), cell.numerics.network),
        jnp.asarray(max(0, words.warm_up - timeline.first(cell))),
        keys,
    )


def curvature(trained: regimes.Trained, outputs: int) -> float:
    """Return an upper bound of the loss's second derivative in the outputs (Boehning 1992 for softmax)."""
    if trained.loss == "mse":
        return 1.0
    return 0.25 if outputs == 1 else 0.5


def threat(cell: spec.Cell, attack_id: str) -> Threat:
    """Return the attack of the cell with that id: its budgets in pixel units, and a loss in the place of `auto`."""
    words = objectives.settled(cell).attacks[attack_id]
    ball = _BALLS[words.norm]
    eps, radii = tuple(map(str, words.eps)), tuple(map(float, words.eps))
    if isinstance(words, threats.RandomSign):
        return Threat(attack_id, NO_SOURCE, eps, radii, attacks.RandomSigns(ball), None)
    centered = cell.data.targets == "centered"
    objective = attacks.Objective(loss(words.loss, centered), words.labels == "predicted")
    if isinstance(words, threats.APGD):
        targets = apgd.Targets(words.targeted, targeted_loss(words.loss, centered)) if words.targeted else None
        attack = apgd.APGD(ball, objective, words.steps, words.start == "uniform", targets)
    elif isinstance(words, threats.ExtensionAttack):
        attack = extensions.builder(words)(words, ball, objective)
    else:
        attack = _gradient_attack(words, ball, objective)
    if isinstance(words, threats.Iterated) and words.restarts > 1:
        attack = attacks.Restarts(ball, objective, attack, words.restarts)
    return Threat(attack_id, words.source, eps, radii, attack, objective)


def _gradient_attack(
    words: threats.FGSM | threats.PGD | regimes.InnerFGSM | regimes.InnerPGD,
    ball: balls.Ball,
    objective: attacks.Objective,
) -> attacks.Attack:
    if not isinstance(words, threats.Steps):
        return attacks.FGSM(ball, objective)
    size = None if words.step_size is None else float(words.step_size)
    return attacks.PGD(ball, objective, words.steps, size, words.start == "uniform")


def attack_key(cell: spec.Cell, attack_id: str) -> jax.Array:
    """Return the random key of an attack, from its own seed: its draws do not change with the seed of the run."""
    return stream(getattr(cell.attacks[attack_id], "seed", 0), "attack")


def coefficients(spectrum: regression.Spectrum, kernel: spec.Kernel, Y: jax.Array) -> jax.Array:
    """Return alpha of f(x) = Theta(x, X) alpha at the kernel's time and ridge; NumericsError if it is not regular.

    A singular float64 kernel passes at a finite time: its null directions are left out. float32 does not know them.
    """
    g = regression.flow(float(kernel.time), kernel.ridge)
    if kernel.time == float("inf") or spectrum.precision > regression.round_off(jnp.float64):
        regression.require_regular(spectrum, g)
    return require_finite(spectrum.coefficients(g, Y), "the coefficients of the regression", _SCALE)


def example_bytes(cell: spec.Cell, subject: str, n_train: int, budgets: int | None = None) -> int:
    """Return the bytes that the gradient at one test example takes: covariances, or activations, at each layer."""
    kernel = cell.kernels.get(subject)
    # Gradients at all budgets of an iterated attack are taken together.
    iterated = (1 + len(attack.eps) for attack in cell.attacks.values() if isinstance(attack, threats.Iterated))
    budgets = budgets or max(iterated, default=1)
    if isinstance(kernel, spec.InfiniteKernel):
        itemsize = jnp.dtype(cell.numerics.kernel).itemsize
        return 16 * budgets * n_train * sizes.row_entries(cell, kernel) * itemsize
    return 16 * budgets * sizes.activations(sizes.network(cell)) * 8


def batch_size(n: int, example_bytes: int, tile_bytes: float) -> int:
    """Return the size of equal batches of n examples that fit into `tile_bytes`; at least one example."""
    batches = -(-n * example_bytes // tile_bytes)
    return int(-(-n // max(1, batches)))


def at(stacked: Any, i: int) -> Any:
    """Return the i-th of several stacked predictors."""
    return jax.tree.map(lambda leaf: leaf[i] if eqx.is_array(leaf) else leaf, stacked)


Tick = Callable[[str], None]
"""is called between steps of the work with what is going on; may raise `TimeoutReached`"""
