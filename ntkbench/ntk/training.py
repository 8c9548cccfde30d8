"""Training: gradient descent on the mean loss, as an iterator of states.

A `State` is all that training is: from it the rest follows bit for bit, whoever kept it in the meantime.
Predictors that differ in their weights alone are stacked along a leading axis and train together. Each batch may
be attacked before its step (adversarial training), on the very predictor that takes the step. A predictor may stop once
its loss is small enough; the others of its stack go on, and those that stopped do not change any more.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from ntkbench.ntk import batch_norm
from ntkbench.ntk.attacks import Attack
from ntkbench.ntk.compilation import jit
from ntkbench.ntk.layers import Weights
from ntkbench.ntk.losses import Loss, divergence
from ntkbench.ntk.network import Trainable, with_weights

T = TypeVar("T")
Optimizer = Callable[[Float[Array, ""]], optax.GradientTransformation]
"""learning rate -> optimizer."""


class State(NamedTuple):
    """Hold the state of s predictors after so many steps. `losses[:, e]` is the mean loss of the batches of epoch e, as
    they were met; in the middle of an epoch what its batches have added to it so far."""

    step: Int[Array, ""]
    weights: Weights
    optimizer: optax.OptState
    losses: Float[Array, "s epochs"]


class InnerAttack(eqx.Module):
    """The attack that takes the place of each batch from epoch `warm_up` on (Madry et al. 2018, eq. 2.1)."""

    attack: Attack
    eps: Float[Array, ""]
    warm_up: Int[Array, ""]
    keys: Key[Array, " s"]
    """one a predictor; they draw random starts"""
    trades: Float[Array, ""] | None = None
    """weight of the divergence of attacked outputs from clean ones, which is added to the loss of the clean batch
    (TRADES, Zhang et al. 2019); None: the loss is that of the attacked batch"""

    def perturb(self, predictor: Trainable, batch: "Batch", epoch: Int[Array, ""], key: Key[Array, ""]) -> "Batch":
        """An example is met once an epoch, and its start depends on nothing else."""
        of_epoch = jax.random.fold_in(key, epoch)

        def example(row, x, label):
            return self.attack(predictor, x, label, self.eps, key=jax.random.fold_in(of_epoch, row))

        images = jax.lax.cond(
            epoch < self.warm_up, lambda: batch.X, lambda: jax.vmap(example)(batch.rows, batch.X, batch.labels)
        )
        return batch._replace(X=images)


class TrainingProblem(eqx.Module):
    """Hold the problem that training solves: to minimize the mean of `loss` over the examples, in batches."""

    loss: Loss = eqx.field(static=True)
    optimizer: Optimizer = eqx.field(static=True)
    batch_size: int = eqx.field(static=True)
    X: Float[Array, "n ..."]
    labels: Int[Array, " n"]
    learning_rates: Float[Array, " s"]
    keys: Key[Array, " s"]
    """one a predictor; they draw the order of the examples"""
    inner: InnerAttack | None = None
    drop_last: bool = eqx.field(static=True, default=False)
    """leave out the last batch of an epoch if it is smaller than the others; who is in it is drawn anew each epoch"""
    until: Float[Array, ""] | None = None
    """a predictor stays as it is after the first epoch whose loss is at most this; None: it goes on to the end"""

    @property
    def steps(self) -> int:
        """Return the number of steps of an epoch."""
        whole, left = divmod(self.labels.size, self.batch_size)
        return whole + (left > 0 and not self.drop_last)


class Batch(NamedTuple):
    """Examples, their rows in the training set, and their shares of the batch's mean."""

    rows: Int[Array, " b"]
    X: Float[Array, "b ..."]
    labels: Int[Array, " b"]
    share: Float[Array, " b"]


def start(problem: TrainingProblem, predictors: Trainable, epochs: int) -> State:
    """The state before the first of `epochs` epochs."""
    optimizer = jax.vmap(lambda rate, weights: problem.optimizer(rate).init(weights))
    losses = jnp.full((problem.learning_rates.size, epochs), jnp.nan, problem.X.dtype)
    weights = jax.tree.map(jnp.copy, predictors.weights)  # `_stretch` takes a state's memory over
    return State(jnp.zeros((), int), weights, optimizer(problem.learning_rates, weights), losses)


def states(
    problem: TrainingProblem,
    predictors: Trainable,
    state: State,
    *,
    every: int,
    until: int | None = None,
    most: Callable[[int], int] | None = None,
) -> Iterator[State]:
    """The states after each `every` epochs and after the last step, which is the one after step `until` if given; also
    in between where `most`, of the step that was reached, allows fewer steps at once.

    Each uses up the one before it.
    """
    last, phase = state.losses.shape[1] * problem.steps, every * problem.steps
    last = last if until is None else min(last, until)
    while (step := int(state.step)) < last:
        stop = min(last, step - step % phase + phase)
        stop = stop if most is None else min(stop, step + most(step))
        state = _stretch((problem, predictors, jnp.array(stop)), state)
        yield state


def epochs_trained(losses: Float[np.ndarray, "s epochs"], until: float | None, first: int = 0) -> Int[np.ndarray, " s"]:
    """Return after how many epochs each predictor stayed as it was; all of them where its loss never reached `until`.

    `first`: the first epoch whose loss counts, the end of a warm-up.
    """
    epochs = losses.shape[1]
    if until is None or first >= epochs:
        return np.full(len(losses), epochs)
    reached = losses[:, first:] <= until
    return np.where(reached.any(axis=1), first + 1 + np.argmax(reached, axis=1), epochs)


def _stopped(problem: TrainingProblem, losses: Float[Array, "s epochs"], epoch: Int[Array, ""]) -> Bool[Array, " s"]:
    """Return which predictors no longer move in an epoch; the loss of a stopped one is copied on to later epochs."""
    assert problem.until is not None
    first = 0 if problem.inner is None else problem.inner.warm_up
    return (epoch > first) & (losses[:, jnp.maximum(epoch - 1, 0)] <= problem.until)


def _kept(stopped: Bool[Array, " s"], old: T, new: T) -> T:
    """Return the new leaves, and the old ones of predictors that have stopped."""
    return jax.tree.map(lambda a, b: jnp.where(stopped.reshape(-1, *(1,) * (b.ndim - 1)), a, b), old, new)


def _advance(fixed: tuple[TrainingProblem, Trainable, Int[Array, ""]], state: State) -> State:
    """The number of steps is a value, not a shape: one compilation serves every phase."""
    problem, predictors, until = fixed
    steps = problem.steps
    train = eqx.filter_vmap(_epoch, in_axes=(None, eqx.if_array(0), 0, 0, None))
    keys = problem.keys, None if problem.inner is None else problem.inner.keys

    def epoch(e, state):
        span = e, state.step - e * steps, jnp.minimum(until - e * steps, steps)
        weights, optimizer, loss = train(
            problem,
            predictors,
            (state.weights, state.optimizer, state.losses[:, e]),
            (problem.learning_rates, *keys),
            span,
        )
        if problem.until is not None:
            stopped, before = _stopped(problem, state.losses, e), state.losses[:, jnp.maximum(e - 1, 0)]
            old, new = (state.weights, state.optimizer, before), (weights, optimizer, loss)
            weights, optimizer, loss = _kept(stopped, old, new)
        return State(e * steps + span[2], weights, optimizer, state.losses.at[:, e].set(loss))

    first, last = state.step // steps, -(-until // steps)
    if problem.until is None:
        return jax.lax.fori_loop(first, last, epoch, state)

    def going(at):
        e, state = at
        return (e < last) & ~jnp.all(_stopped(problem, state.losses, e))

    e, state = jax.lax.while_loop(going, lambda at: (at[0] + 1, epoch(*at)), (first, state))
    rest = (jnp.arange(state.losses.shape[1]) >= e) & (jnp.arange(state.losses.shape[1]) < last)
    losses = jnp.where(rest, state.losses[:, jnp.maximum(e - 1, 0)][:, None], state.losses)
    return State(until, state.weights, state.optimizer, losses)


_stretch = jit(_advance, donate="all-except-first")


def _epoch(problem, predictor, state, own, span):
    """Train for the rest of an epoch, or for its next part. `own`: the predictor's learning rate and keys."""
    (rate, key, inner_key), (epoch, first, after) = own, span
    batch = _batches(problem, jax.random.fold_in(key, epoch))

    trades = None if problem.inner is None else problem.inner.trades

    def loss(weights, clean, met):
        network = with_weights(predictor, weights)
        outputs, left = network.together(met.X if trades is None else clean.X, met.share)
        each = jax.vmap(problem.loss)(outputs, met.labels)
        if trades is not None:
            each += trades * jax.vmap(divergence)(outputs, network.together(met.X, met.share)[0])
        return jnp.sum(each * met.share), left

    def step(i, state):
        weights, optimizer, total = state
        clean = met = batch(i)
        if problem.inner is not None:
            met = problem.inner.perturb(with_weights(predictor, weights), clean, epoch, inner_key)
        (value, left), gradient = jax.value_and_grad(loss, has_aux=True)(weights, clean, met)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes floats with its counter
            updates, optimizer = problem.optimizer(rate).update(gradient, optimizer, weights)
        weights = batch_norm.with_statistics(optax.apply_updates(weights, updates), left)
        return weights, optimizer, total + value / problem.steps

    weights, optimizer, total = state
    begun = weights, optimizer, jnp.where(first == 0, 0, total)
    return step(0, begun) if problem.steps == 1 else jax.lax.fori_loop(first, after, step, begun)


def _batches(problem: TrainingProblem, key: Key[Array, ""]) -> Callable[[Int[Array, ""]], Batch]:
    """The batches of an epoch, by their number."""
    n, dtype = problem.labels.size, problem.X.dtype
    if problem.batch_size >= n:
        whole = Batch(jnp.arange(n), problem.X, problem.labels, jnp.full((n,), 1 / n, dtype))
        return lambda _: whole
    rows, share = _order(n, problem.batch_size, key, dtype)  # the last may be one that is left out
    return lambda i: Batch(rows[i], problem.X[rows[i]], problem.labels[rows[i]], share[i])


def _order(n, batch_size, key, dtype):
    """Rows and their shares of the batch's mean, in random order; shares of 0 fill the last batch up."""
    steps = -(-n // batch_size)
    order = jnp.pad(jax.random.permutation(key, n), (0, steps * batch_size - n))
    present = (jnp.arange(order.size) < n).reshape(steps, batch_size).astype(dtype)
    return order.reshape(steps, batch_size), present / jnp.sum(present, axis=1, keepdims=True)
