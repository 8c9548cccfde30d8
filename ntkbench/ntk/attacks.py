"""Attacks on any predictor. An attack sees one example; `perturb` maps it over many, in bounded memory."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from ntkbench.ntk.balls import Ball, Eps, Image
from ntkbench.ntk.compilation import jit
from ntkbench.ntk.losses import Label, Loss, divergence, predict
from ntkbench.ntk.network import Predictor


class Attack(eqx.Module):
    """(predictor, x, label, eps) -> an image of the threat set around x."""

    ball: eqx.AbstractVar[Ball]

    @property
    def follows_gradient(self) -> bool:
        """Tell whether a gradient of zero would stop it."""
        return True

    @abc.abstractmethod
    def __call__(self, predictor: Predictor, x: Image, label: Label, eps: Eps, *, key: PRNGKeyArray) -> Image: ...

    def each(
        self,
        predictor: Predictor,
        X: Float[Array, "n ..."],
        labels: Int[Array, " n"],
        eps: Float[Array, "e n"],
        *,
        keys: Key[Array, " n"],
        batch_size: int,
    ) -> Float[Array, "e n ..."]:
        """Attack each example with each of its budgets, `batch_size` examples at a time; `keys` has one for each."""

        def example(args):
            x, label, own, key = args
            return jax.vmap(lambda one_eps: self(predictor, x, label, one_eps, key=key))(own)

        return jnp.moveaxis(jax.lax.map(example, (X, labels, eps.T, keys), batch_size=batch_size), 1, 0)


class Score(NamedTuple):
    """Hold the effect of an image on a predictor: whether it is misclassified, and the loss; NaN is the worst."""

    fooled: Bool[Array, ""]
    loss: Float[Array, ""]

    @classmethod
    def of(cls, outputs: Float[Array, " c"], label: Label, loss: Float[Array, ""]) -> "Score":
        return cls(predict(outputs) != label, jnp.where(jnp.isnan(loss), jnp.inf, loss))

    def above(self, other: "Score") -> Bool[Array, ""]:
        """Misclassified ones first, then the higher loss."""
        return jnp.where(self.fooled == other.fooled, self.loss > other.loss, self.fooled)


class Objective(eqx.Module):
    """The loss that is ascended, at the true label or at the one the predictor gives to the clean image."""

    loss: Loss = eqx.field(static=True)
    predicted: bool = eqx.field(static=True, default=False)

    def label(self, predictor: Predictor, x: Image, label: Label) -> Label:
        """The label to get away from."""
        return predict(predictor(x)) if self.predicted else label

    def gradient(self, predictor: Predictor, x: Image, label: Label) -> Callable[[Image], Image]:
        """The gradient, as a function of the image that takes the place of x."""
        label = self.label(predictor, x, label)
        return jax.grad(lambda image: self.loss(predictor(image), label))

    def score(self, outputs: Float[Array, " c"], label: Label) -> Score:
        """Return the score of an image for which the predictor has these outputs."""
        return Score.of(outputs, label, self.loss(outputs, label))


class Divergence(Objective):
    """The divergence of the outputs from those at x, flat at x itself, which TRADES ascends (Zhang et al. 2019)."""

    def gradient(self, predictor, x, label):
        clean = predictor(x)
        return jax.grad(lambda image: divergence(clean, predictor(image)))


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

        return jax.lax.fori_loop(0, self.steps, step, start(self.ball, x, eps, key=key) if self.uniform_start else x)


class Restarts(Attack):
    """The worst of several runs of an attack. The first of them is the attack alone, so that more are never weaker."""

    ball: Ball = eqx.field(static=True)
    objective: Objective
    attack: Attack
    count: int = eqx.field(static=True)

    @property
    def follows_gradient(self):
        return self.attack.follows_gradient

    def __call__(self, predictor, x, label, eps, *, key):
        def run(own):
            return self.attack(predictor, x, label, eps, key=own)

        others = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(1, self.count))
        return worst(self.objective, predictor, x, label, run, jnp.concatenate([key[None], others]))


class RandomSigns(Attack):
    """The control: random signs at norm eps, no gradient."""

    ball: Ball = eqx.field(static=True)

    def __call__(self, predictor, x, label, eps, *, key):
        return self.ball.project(x + eps * self.ball.signs(x, key=key), x, eps)


class Unmoved(Attack):
    """No attack: examples stay as they are. It stands for attacks whose images are given, and has their ball."""

    ball: Ball = eqx.field(static=True)

    def __call__(self, predictor, x, label, eps, *, key):
        return x


def start(ball: Ball, x: Image, eps: Eps, *, key: PRNGKeyArray) -> Image:
    """Drawn uniformly from the ball, then brought into the box."""
    return ball.project(x + ball.uniform(x, eps, key=key), x, eps)


def worst(
    objective: Objective, predictor: Predictor, x: Image, label: Label, make: Callable[[Any], Image], over: Any
) -> Image:
    """Return the image with the highest score of those that `make` gives for the items of `over`, in turn."""
    label = objective.label(predictor, x, label)

    def keep(best, item):
        image = make(item)
        found = image, objective.score(predictor(image), label)
        return choose(found[1].above(best[1]), found, best), None

    nothing = x, Score(jnp.array(False), jnp.array(-jnp.inf, x.dtype))
    return jax.lax.scan(keep, nothing, over)[0][0]


def choose(condition: Bool[Array, ""], one: Any, other: Any) -> Any:
    """Return `one` where the condition holds, otherwise `other`; both are PyTrees of the same structure."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)


@jit
def perturb(
    attack: Attack,
    predictor: Predictor,
    X: Float[Array, "n ..."],
    labels: Int[Array, " n"],
    eps: Float[Array, " e"] | Float[Array, "e n"],
    *,
    key: PRNGKeyArray,
    batch_size: int,
) -> Float[Array, "e n ..."]:
    """Each example attacked with each budget, or with each of its own, `batch_size` examples at a time.

    An example's random numbers depend on its place alone, so results do not depend on the batch. What does not
    depend on the budget, as the gradient of a single step, is computed once for all of them.
    """

    own = jnp.broadcast_to(eps[:, None] if eps.ndim == 1 else eps, (len(eps), len(X)))
    return attack.each(predictor, X, labels, own, keys=jax.random.split(key, len(X)), batch_size=batch_size)


@jit
def gradients(
    objective: Objective, predictor: Predictor, X: Float[Array, "n ..."], labels: Int[Array, " n"], *, batch_size: int
) -> Float[Array, "n ..."]:
    """Return the gradients of the objective at clean examples."""
    return jax.lax.map(lambda pair: objective.gradient(predictor, *pair)(pair[0]), (X, labels), batch_size=batch_size)


@jit
def outputs(predictor: Predictor, X: Float[Array, "n ..."], *, batch_size: int) -> Float[Array, "n c"]:
    """The predictor on many examples."""
    return jax.lax.map(predictor, X, batch_size=batch_size)
