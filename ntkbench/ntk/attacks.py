"""Attacks on any predictor. An attack sees one example; `perturb` maps it over many, in bounded memory."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ntkbench.ntk.balls import Ball, Eps, Image
from ntkbench.ntk.losses import Label, Loss, predict
from ntkbench.ntk.network import Predictor


class Attack(eqx.Module):
    """(predictor, x, label, eps) -> an image of the threat set around x."""

    ball: eqx.AbstractVar[Ball]

    @abc.abstractmethod
    def __call__(self, predictor: Predictor, x: Image, label: Label, eps: Eps, *, key: PRNGKeyArray) -> Image: ...


class Objective(eqx.Module):
    """The loss that is ascended, at the true label or at the one the predictor gives to the clean image."""

    loss: Loss = eqx.field(static=True)
    predicted: bool = eqx.field(static=True, default=False)

    def gradient(self, predictor: Predictor, x: Image, label: Label) -> Callable[[Image], Image]:
        """The gradient, as a function of the image that takes the place of x."""
        label = predict(predictor(x)) if self.predicted else label
        return jax.grad(lambda image: self.loss(predictor(image), label))


class FGSM(Attack):
    """x + eps steepest(gradient): one full step (Goodfellow 2015; l2: the normalized gradient)."""

    ball: Ball = eqx.field(static=True)
    objective: Objective

    def __call__(self, predictor, x, label, eps, *, key):
        step = self.ball.steepest(self.objective.gradient(predictor, x, label)(x))
        return self.ball.project(x + eps * step, x, eps)


class PGD(Attack):
    """Projected gradient ascent (Madry 2018); `step_size` None is 2.5 eps / steps."""

    ball: Ball = eqx.field(static=True)
    objective: Objective
    steps: int = eqx.field(static=True)
    step_size: float | None = eqx.field(static=True, default=None)
    uniform_start: bool = eqx.field(static=True, default=False)

    def __call__(self, predictor, x, label, eps, *, key):
        gradient = self.objective.gradient(predictor, x, label)
        size = 2.5 * eps / self.steps if self.step_size is None else self.step_size

        def step(_, adv):
            return self.ball.project(adv + size * self.ball.steepest(gradient(adv)), x, eps)

        start = self.ball.project(x + self.ball.uniform(x, eps, key=key), x, eps) if self.uniform_start else x
        return jax.lax.fori_loop(0, self.steps, step, start)


class RandomSigns(Attack):
    """The control: random signs at norm eps, no gradient."""

    ball: Ball = eqx.field(static=True)

    def __call__(self, predictor, x, label, eps, *, key):
        return self.ball.project(x + eps * self.ball.signs(x, key=key), x, eps)


@eqx.filter_jit
def perturb(
    attack: Attack,
    predictor: Predictor,
    X: Float[Array, "n ..."],
    labels: Int[Array, " n"],
    eps: Float[Array, " e"],
    *,
    key: PRNGKeyArray,
    batch_size: int,
) -> Float[Array, "e n ..."]:
    """Each example attacked with each budget, `batch_size` examples at a time.

    An example's random numbers depend on its place alone, so results do not depend on the batch. What does not
    depend on the budget, as the gradient of a single step, is computed once for all of them.
    """

    def example(args):
        x, label, example_key = args
        return jax.vmap(lambda one_eps: attack(predictor, x, label, one_eps, key=example_key))(eps)

    examples = X, labels, jax.random.split(key, X.shape[0])
    return jnp.moveaxis(jax.lax.map(example, examples, batch_size=batch_size), 1, 0)


@eqx.filter_jit
def gradients(
    objective: Objective, predictor: Predictor, X: Float[Array, "n ..."], labels: Int[Array, " n"], *, batch_size: int
) -> Float[Array, "n ..."]:
    """Of the objective at clean examples."""
    return jax.lax.map(lambda pair: objective.gradient(predictor, *pair)(pair[0]), (X, labels), batch_size=batch_size)


@eqx.filter_jit
def outputs(predictor: Predictor, X: Float[Array, "n ..."], *, batch_size: int) -> Float[Array, "n c"]:
    """The predictor on many examples."""
    return jax.lax.map(predictor, X, batch_size=batch_size)
