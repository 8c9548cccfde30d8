"""Make adversarial examples with one attack on one source predictor, and check them.

    crafted = craft(threat, source, key=key)          # once a source
    images = received(threat, crafted, target)        # for each target, in its precision

The result holds all that judging a target needs of the source. It does not depend on a target, so that examples which
are made on an infinite kernel serve every network of a sweep.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ntkbench.analyses.evaluator import Evaluator
from ntkbench.analyses.measurement import Check, Measurement, Scalar
from ntkbench.budgets import Budget
from ntkbench.ntk import attacks
from ntkbench.ntk.balls import Ball


@dataclass(frozen=True)
class BudgetedAttack:
    """An attack of a cell: what it is called, its perturbation budgets, and the function that attacks."""

    id: str
    source: str
    """name of the predictor whose gradient is followed; `none` for an attack without a gradient"""
    budgets: tuple[Budget, ...]
    attack: attacks.Attack
    objective: attacks.Objective | None
    """the loss that is ascended; None for an attack without a gradient"""

    @property
    def radii(self) -> Float[np.ndarray, " e"]:
        """The budgets as numbers, in pixel units ([0, 1])."""
        return np.array([budget.radius for budget in self.budgets])

    @property
    def ball(self) -> Ball:
        """The norm ball around each example that the attack stays in."""
        return self.attack.ball


@dataclass(frozen=True)
class Crafted:
    """Hold the adversarial examples of n test examples, and the answers of their source, as a store keeps them."""

    images: Float[np.ndarray, "e n ..."]
    """adversarial examples, one row for each budget"""
    unmoved: Bool[np.ndarray, " m"]
    """whether the attack with budget 0 left an example as it was, for the m examples on which this was tried"""
    source_clean: Bool[np.ndarray, " n"]
    """whether the source is right on each clean example; False for an attack without an objective"""
    source_robust: Bool[np.ndarray, "e n"]
    """whether the source is right on each adversarial example; False for an attack without an objective"""
    gradient: Float[Array | np.ndarray, "n ..."]
    """input gradient of the objective at the clean examples; zeros for an attack without one"""
    source_loss: Float[np.ndarray, "budgets n"] | None = None
    """the objective's loss on clean examples, then at each budget; None where it was not recorded"""


def craft(threat: BudgetedAttack, source: Evaluator, *, key: PRNGKeyArray) -> Crafted:
    """Attack every example of `source` at every budget.

    The batches are filled up with the first examples at budget 0, which a check then compares with the clean ones. An
    attack without an objective follows no gradient: `source` then only gives the test set, and no example counts as
    fooling it. `key` draws random starts and signs.
    """
    X, n = source.X, len(source.X)
    spare, size = _batches(n, source.batch_size)
    rows = jnp.arange(n + spare) % n
    eps = jnp.where(jnp.arange(n + spare) < n, jnp.array(threat.radii, X.dtype)[:, None], 0)
    made = attacks.perturb(threat.attack, source.predictor, X[rows], source.labels[rows], eps, key=key, batch_size=size)
    images, still = made[:, :n], made[0, n:]
    if threat.objective is None:
        right, loss = np.zeros((1 + len(eps), n), bool), np.zeros((1 + len(eps), n), X.dtype)
        gradient = np.zeros(X.shape, X.dtype)
    else:
        right, loss = source.correct_and_loss(jnp.concatenate([X[None], images]), threat.objective)
        gradient = source.gradient(threat.objective)
    unmoved = np.all(np.asarray(still == X[:spare]).reshape(spare, -1), axis=1)
    return Crafted(np.asarray(images), unmoved, right[0], right[1:], gradient, loss)


def as_crafted(threat: BudgetedAttack, images: Float[np.ndarray, "n ..."], X: Float[np.ndarray, "n ..."]) -> Crafted:
    """Return images that were made elsewhere as if `threat` had made them of the clean images `X`.

    They are brought into the threat set, to which they are near. Nothing is known of their source.
    """
    (radius,), n = threat.radii, len(X)
    inside = np.asarray(_project(threat.ball, images[None], X, np.array([radius], X.dtype)))
    unknown = np.zeros((1, n), bool)
    return Crafted(inside, np.zeros(0, bool), unknown[0], unknown, np.zeros_like(X))


def _batches(n: int, batch_size: int) -> tuple[int, int]:
    """Return how many examples to add to n, at least 1, and the size of the equal batches that they then fill.

    Equal batches need one compilation.
    """
    count = -(-(n + 1) // batch_size)
    size = -(-(n + 1) // count)
    return count * size - n, size


def brought_into(threat: BudgetedAttack, crafted: Crafted, target: Evaluator) -> Float[Array, "e n ..."]:
    """Return the adversarial examples in the target's precision, projected into the threat set in that precision."""
    radii = np.asarray(threat.radii, target.X.dtype)
    return _project(threat.ball, np.asarray(crafted.images, target.X.dtype), target.X, radii)


@eqx.filter_jit
def _project(ball, images, X, radii):
    return jax.vmap(jax.vmap(ball.project, (0, 0, None)), (0, None, 0))(images, X, radii)


@eqx.filter_jit
def _norms(ball, images, X):
    return jax.vmap(jax.vmap(ball.norm))(images - X[None])


def checks(
    threat: BudgetedAttack, crafted: Crafted, images: Float[Array, "e n ..."], X: Float[Array, "n ..."]
) -> list[Check]:
    """Check that budget 0 changes nothing, the threat set holds, and gradients are neither zero nor broken.

    `images` are those that `received` returned, `X` the clean examples. The threat set is checked on both: projection
    must not hide an attack that left the set by more than the rounding of X, here or where the images were made.
    """
    made = np.asarray(crafted.images, X.dtype)
    radii = np.asarray(threat.radii, X.dtype)[:, None]
    coarser = max(np.finfo(dtype).eps for dtype in (X.dtype, crafted.images.dtype))
    slack = X[0].size ** 0.5 * coarser
    norms = np.asarray(_norms(threat.ball, made, X))
    inside = np.all(norms <= radii * (1 + slack) + slack) and np.all(_norms(threat.ball, images, X) <= radii)
    largest = float(np.max(norms, initial=0, where=np.isfinite(norms)))
    found = [
        Check("eps0_equals_clean", bool(np.all(crafted.unmoved)), {"attack": threat.id, "n": len(crafted.unmoved)}),
        Check("ball_respected", bool(inside), {"attack": threat.id, "largest": largest}),
        Check("box_respected", bool(np.all((made >= 0) & (made <= 1))), {"attack": threat.id}),
    ]
    if threat.objective is None:
        return found
    gradients = _gradients(threat, crafted) if threat.attack.follows_gradient else []
    return [*found, *gradients, *_ascent(threat, crafted)]


def poisoned(
    clean: Float[np.ndarray, "n ..."],
    images: Float[np.ndarray, "n ..."],
    ball: Ball,
    eps: float,
    source: str,
    loss: Float[np.ndarray, " s"] | None,
) -> Measurement:
    """Return the loss that poisoned training images raised, and check that they are where they may be.

    Args:
        clean: the training images before they were moved.
        images: those after.
        ball: the norm of the ball in which they may move.
        eps: its radius.
        source: name of the predictor whose validation loss they climb.
        loss: this loss, at the clean images and after each step; None where nothing is climbed.
    """
    norms = np.asarray(_norms(ball, images[None], clean)[0])
    found = [
        Check("ball_respected", bool(np.all(norms <= eps)), {"images": "training", "largest": float(norms.max())}),
        Check("box_respected", bool(np.all((images >= 0) & (images <= 1))), {"images": "training"}),
    ]
    if loss is None:
        return Measurement(checks=tuple(found))
    first, last = float(loss[0]), float(loss[-1])
    rose = Check("validation_loss_rose", last > first, {"source": source, "before": first, "after": last})
    scalars = [
        Scalar("validation_loss", value, {"target": source, "images": name})
        for name, value in (("clean", first), ("poisoned", last))
    ]
    return Measurement(tuple(scalars), series={"validation_loss": loss}, checks=(*found, rose))


def _gradients(threat: BudgetedAttack, crafted: Crafted) -> list[Check]:
    """Check the source's gradients at the clean examples.

    A zero gradient fakes robustness only where the source is right on the clean example. Gradients along the way of an
    iterated attack are not kept; one that is not finite shows as an image that is not finite.
    """
    flat = np.asarray(crafted.gradient).reshape(len(crafted.gradient), -1)
    n = len(flat)
    lost = ~np.isfinite(flat).all(axis=1) | ~np.isfinite(crafted.images.reshape(-1, *flat.shape)).all(axis=(0, 2))
    zero, bad = ~flat.any(axis=1), int(np.sum(lost))
    faked = bool(np.any(zero & crafted.source_clean))
    return [
        Check("gradients_not_zero", not faked, {"attack": threat.id, "zero": int(np.sum(zero)), "n": n}),
        Check("gradients_finite", bad == 0, {"attack": threat.id, "not_finite": bad, "n": n}),
    ]


def _ascent(threat: BudgetedAttack, crafted: Crafted) -> list[Check]:
    """Check, for each budget above 0, that the attack did not lower the source's loss.

    A lower loss is a fault only where the source is not fooled. A single step (FGSM) may overshoot: its falls are
    counted and never fail. Falls within sqrt(machine epsilon) are taken for rounding.
    """
    if crafted.source_loss is None:
        return []
    clean, *attacked = crafted.source_loss
    floor = clean - np.finfo(clean.dtype).eps ** 0.5 * np.maximum(1, np.abs(clean))
    found = []
    for budget, loss, robust in zip(threat.budgets, attacked, crafted.source_robust, strict=True):
        if budget.radius > 0:
            fell = ~(loss >= floor)
            ok = not np.any(fell & robust) or isinstance(threat.attack, attacks.FGSM)
            detail = {"attack": threat.id, "eps": budget.label, "fell": int(np.sum(fell)), "n": len(loss)}
            found.append(Check("loss_increased", ok, detail))
    return found
