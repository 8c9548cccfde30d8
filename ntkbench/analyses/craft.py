"""Adversarial examples of one attack on one source, with all that judging others by them needs of the source.

Crafting knows no target, so that one crafting serves every network of a sweep.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ntkbench.analyses.measurement import Check
from ntkbench.analyses.subject import Subject
from ntkbench.ntk import attacks
from ntkbench.ntk.balls import Ball


@dataclass(frozen=True)
class Threat:
    """An attack by its id, with its source's name and its budgets as the spec writes them."""

    id: str
    source: str
    eps: tuple[str, ...]
    radii: tuple[float, ...]
    attack: attacks.Attack
    objective: attacks.Objective | None

    @property
    def ball(self) -> Ball:
        return self.attack.ball


@dataclass(frozen=True)
class Crafted:
    """Arrays alone, so that a store can keep them."""

    images: Float[np.ndarray, "e n ..."]
    unmoved: Bool[np.ndarray, " m"]
    """whether budget 0 left an image as it was, of those on which it was tried"""
    source_clean: Bool[np.ndarray, " n"]
    source_robust: Bool[np.ndarray, "e n"]
    gradient: Float[Array | np.ndarray, "n ..."]
    """of the objective at clean images; zeros for an attack without one"""
    source_loss: Float[np.ndarray, "budgets n"] | None = None
    """of the objective at the clean images, then under each budget; None if it was not kept"""


def craft(threat: Threat, source: Subject, *, key: PRNGKeyArray) -> Crafted:
    """Attacks every test example with every budget, and the first of them with budget 0, too.

    An attack without an objective has no source: it takes the shape of the test set, and fools nobody.
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
        right, loss = source.judged(jnp.concatenate([X[None], images]), threat.objective)
        gradient = source.gradient(threat.objective)
    unmoved = np.all(np.asarray(still == X[:spare]).reshape(spare, -1), axis=1)
    return Crafted(np.asarray(images), unmoved, right[0], right[1:], gradient, loss)


def _batches(n: int, batch_size: int) -> tuple[int, int]:
    """How many more examples, one at least, fill batches of one size, of which one is compiled; and that size."""
    count = -(-(n + 1) // batch_size)
    size = -(-(n + 1) // count)
    return count * size - n, size


def received(threat: Threat, crafted: Crafted, target: Subject) -> Float[Array, "e n ..."]:
    """The images in the target's precision, inside the threat set in that precision too."""
    radii = np.asarray(threat.radii, target.X.dtype)
    return _project(threat.ball, np.asarray(crafted.images, target.X.dtype), target.X, radii)


@eqx.filter_jit
def _project(ball, images, X, radii):
    return jax.vmap(jax.vmap(ball.project, (0, 0, None)), (0, None, 0))(images, X, radii)


@eqx.filter_jit
def _norms(ball, images, X):
    return jax.vmap(jax.vmap(ball.norm))(images - X[None])


def checks(threat: Threat, crafted: Crafted, images: Float[Array, "e n ..."], X: Float[Array, "n ..."]) -> list[Check]:
    """What the numbers of an attack rest on.

    `images` are those that were `received`. Bringing them into the threat set must not hide an attack that
    left it by more than the rounding of X.
    """
    made = np.asarray(crafted.images, X.dtype)
    radii = np.asarray(threat.radii, X.dtype)[:, None]
    slack = X[0].size ** 0.5 * np.finfo(X.dtype).eps
    norms = np.asarray(_norms(threat.ball, made, X))
    inside = np.all(norms <= radii * (1 + slack) + slack) and np.all(_norms(threat.ball, images, X) <= radii)
    largest = float(np.max(norms, initial=0, where=np.isfinite(norms)))
    found = [
        Check("eps0_equals_clean", bool(np.all(crafted.unmoved)), {"attack": threat.id, "n": len(crafted.unmoved)}),
        Check("ball_respected", bool(inside), {"attack": threat.id, "largest": largest}),
        Check("box_respected", bool(np.all((made >= 0) & (made <= 1))), {"attack": threat.id}),
    ]
    return found if threat.objective is None else [*found, *_gradients(threat, crafted), *_ascent(threat, crafted)]


def _gradients(threat: Threat, crafted: Crafted) -> list[Check]:
    """At the clean image; one on the way that is not a number leaves an image that is none.

    A zero one fakes robustness only where there was some to lose.
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


def _ascent(threat: Threat, crafted: Crafted) -> list[Check]:
    """Whether the source's loss fell, and no fault where it is fooled. A single step may overshoot: that is counted."""
    if crafted.source_loss is None:
        return []
    clean, *attacked = crafted.source_loss
    floor = clean - np.finfo(clean.dtype).eps ** 0.5 * np.maximum(1, np.abs(clean))
    found = []
    for eps, radius, loss, robust in zip(threat.eps, threat.radii, attacked, crafted.source_robust, strict=True):
        if radius > 0:
            fell = ~(loss >= floor)
            ok = not np.any(fell & robust) or isinstance(threat.attack, attacks.FGSM)
            detail = {"attack": threat.id, "eps": eps, "fell": int(np.sum(fell)), "n": len(loss)}
            found.append(Check("loss_increased", ok, detail))
    return found
