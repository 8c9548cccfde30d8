"""Training: gradient descent on the mean loss, as an iterator of states.

A `State` is all that training is: from it the rest follows bit for bit, whoever kept it in the meantime.
Predictors that differ in their weights alone are stacked along a leading axis and train together.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from ntkbench.ntk.layers import Weights
from ntkbench.ntk.losses import Loss
from ntkbench.ntk.network import Trainable, with_weights

Optimizer = Callable[[Float[Array, ""]], optax.GradientTransformation]
"""learning rate -> optimizer."""


class State(NamedTuple):
    """Where s predictors stand. `losses[:, e]` is the mean loss of the batches of epoch e, as they were met."""

    epoch: Int[Array, ""]
    weights: Weights
    optimizer: optax.OptState
    losses: Float[Array, "s epochs"]


class Problem(eqx.Module):
    """What is minimized: the mean of `loss` over the examples, in batches."""

    loss: Loss = eqx.field(static=True)
    optimizer: Optimizer = eqx.field(static=True)
    batch_size: int = eqx.field(static=True)
    X: Float[Array, "n ..."]
    labels: Int[Array, " n"]
    learning_rates: Float[Array, " s"]
    keys: Key[Array, " s"]
    """one a predictor; they draw the order of the examples"""


def start(problem: Problem, predictors: Trainable, epochs: int) -> State:
    """The state before the first of `epochs` epochs."""
    optimizer = jax.vmap(lambda rate, weights: problem.optimizer(rate).init(weights))
    losses = jnp.full((problem.learning_rates.size, epochs), jnp.nan, problem.X.dtype)
    weights = jax.tree.map(jnp.copy, predictors.weights)  # `_advance` takes a state's memory over
    return State(jnp.zeros((), int), weights, optimizer(problem.learning_rates, weights), losses)


def states(problem: Problem, predictors: Trainable, state: State, *, every: int) -> Iterator[State]:
    """The states after each `every` epochs and after the last. Each uses up the one before it."""
    epochs = state.losses.shape[1]
    while (epoch := int(state.epoch)) < epochs:
        until = min(epochs, epoch - epoch % every + every)
        state = _advance((problem, predictors, jnp.array(until)), state)
        yield state


@eqx.filter_jit(donate="all-except-first")
def _advance(fixed: tuple[Problem, Trainable, Int[Array, ""]], state: State) -> State:
    """The number of epochs is a value, not a shape: one compilation serves every stretch."""
    problem, predictors, until = fixed

    def epoch(_, state):
        train = eqx.filter_vmap(_epoch, in_axes=(None, eqx.if_array(0), 0, 0, 0, 0, None))
        weights, optimizer, loss = train(
            problem, predictors, state.weights, state.optimizer, problem.learning_rates, problem.keys, state.epoch
        )
        return State(state.epoch + 1, weights, optimizer, state.losses.at[:, state.epoch].set(loss))

    return jax.lax.fori_loop(state.epoch, until, epoch, state)


def _epoch(problem, predictor, weights, optimizer, rate, key, epoch):
    def loss(weights, X, labels, share):
        outputs = jax.vmap(with_weights(predictor, weights))(X)
        return jnp.sum(jax.vmap(problem.loss)(outputs, labels) * share)

    def step(state, batch):
        weights, optimizer = state
        value, gradient = jax.value_and_grad(loss)(weights, *batch)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes floats with its counter
            updates, optimizer = problem.optimizer(rate).update(gradient, optimizer, weights)
        return (optax.apply_updates(weights, updates), optimizer), value

    n = problem.labels.size
    if problem.batch_size >= n:
        whole = problem.X, problem.labels, jnp.full((n,), 1 / n, problem.X.dtype)
        (weights, optimizer), value = step((weights, optimizer), whole)
        return weights, optimizer, value
    rows, share = _batches(n, problem.batch_size, jax.random.fold_in(key, epoch), problem.X.dtype)
    (weights, optimizer), values = jax.lax.scan(
        lambda state, b: step(state, (problem.X[b[0]], problem.labels[b[0]], b[1])), (weights, optimizer), (rows, share)
    )
    return weights, optimizer, jnp.mean(values)


def _batches(n, batch_size, key, dtype):
    """Rows and their shares of the batch's mean, in random order; shares of 0 fill the last batch up."""
    steps = -(-n // batch_size)
    order = jnp.pad(jax.random.permutation(key, n), (0, steps * batch_size - n))
    present = (jnp.arange(order.size) < n).reshape(steps, batch_size).astype(dtype)
    return order.reshape(steps, batch_size), present / jnp.sum(present, axis=1, keepdims=True)
