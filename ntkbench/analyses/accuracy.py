"""Measure the clean and the robust accuracy of one predictor.

    measurement = accuracy(target, [(threat, craft(threat, source, key=key))])

`accuracy` is the analysis `kind: accuracy`; `judge`, `place`, `share` and `majority_rate` also serve the other
analyses. Robust accuracy under several attacks of one norm is the worst case of each test point, never a mean over
attacks: a point counts as right only where the target is right under all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array

from ntkbench.analyses.crafting import BudgetedAttack, Crafted, brought_into, checks
from ntkbench.analyses.evaluator import Evaluator
from ntkbench.analyses.measurement import Check, Measurement, Scalar
from ntkbench.budgets import Budget, column
from ntkbench.ntk import losses
from ntkbench.ntk.attacks import Objective
from ntkbench.vocabulary import WORST

Attacked = tuple[BudgetedAttack, Crafted]
"""an attack, and the adversarial examples that it made of the test set"""


@dataclass(frozen=True)
class Verdict:
    """The outcomes of one attack on a target."""

    threat: BudgetedAttack
    robust: np.ndarray
    """(budgets, test points): whether the target is right on the attacked image"""
    checks: tuple[Check, ...]
    """properties of the attack that the outcomes rest on"""


def accuracy(target: Evaluator, attacked: Sequence[Attacked], *, gradient_norm: bool = False) -> Measurement:
    """Return the target's accuracy on clean images, under each attack at each budget, and under all attacks together.

    The samples hold the outcome of each test point: `clean`, `ATTACK@EPS`, and `worst@EPS` where there are several
    attacks of one norm; with `gradient_norm` also the norms of its gradient, `gradient_l2` and `gradient_l1`.
    NumericsError if outputs of the target are not finite.
    """
    clean, verdicts = judge(target, attacked)
    scalars = [share("accuracy", clean, {"target": target.name})]
    samples = {"clean": clean}
    for verdict in verdicts:
        for budget, robust in zip(verdict.threat.budgets, verdict.robust, strict=True):
            scalars.append(share("robust_accuracy", robust, labels_of(verdict.threat, target, budget)))
            samples[column(verdict.threat.id, budget)] = robust
    for budget, robust in worst_case(verdicts).items():
        scalars.append(share("robust_accuracy", robust, {"target": target.name, "attack": WORST, "eps": budget.label}))
        samples[column(WORST, budget)] = robust
    scalars.append(majority_rate(target.labels))
    found = [check for verdict in verdicts for check in verdict.checks]
    if gradient_norm:
        norms, finite = gradient_norms(target)
        found.append(finite)
        for norm, values in norms.items():
            scalars.append(Scalar.mean("gradient_norm", values, {"target": target.name, "norm": norm}))
            samples[f"gradient_{norm}"] = values
    return Measurement(tuple(scalars), samples=samples, checks=tuple(found))


def gradient_norms(target: Evaluator) -> tuple[dict[str, np.ndarray], Check]:
    """Return the l2 and the l1 norm, (n,), of the gradient of the target's margin at each clean image.

    The margin of a single output f is -f or f. The check says whether all gradients are finite.
    """
    gradients = np.asarray(target.gradient(Objective(losses.margin)), np.float64).reshape(len(target.X), -1)
    bad = int(np.sum(~np.isfinite(gradients).all(axis=1)))
    norms = {f"l{order}": np.linalg.norm(gradients, order, axis=1) for order in (2, 1)}
    return norms, Check("gradients_finite", bad == 0, {"target": target.name, "not_finite": bad, "n": len(gradients)})


def judge(target: Evaluator, attacked: Sequence[Attacked]) -> tuple[np.ndarray, list[Verdict]]:
    """Return whether the target is right on each clean image, (n,), and its verdict under each attack.

    Attacked images are first brought into the target's precision and into the threat set. All versions of the test set
    are classified in one call, so that the predictor is compiled once.
    """
    images = [brought_into(threat, crafted, target) for threat, crafted in attacked]
    clean, *robust = target.correct(jnp.concatenate([target.X[None], *images]))
    verdicts = []
    for (threat, crafted), seen in zip(attacked, images, strict=True):
        own, robust = np.stack(robust[: len(seen)]), robust[len(seen) :]
        verdicts.append(Verdict(threat, own, tuple(checks(threat, crafted, seen, target.X))))
    return clean, verdicts


def worst_case(verdicts: Sequence[Verdict]) -> dict[Budget, np.ndarray]:
    """Return, by budget, whether the target stays right at each test point under every one of the attacks.

    Budgets that some attack lacks are left out. The result is empty for fewer than two attacks, and for attacks whose
    norms differ.
    """
    if len(verdicts) < 2 or len({verdict.threat.ball for verdict in verdicts}) > 1:
        return {}
    rows = [dict(zip(verdict.threat.budgets, verdict.robust, strict=True)) for verdict in verdicts]
    shared = [budget for budget in verdicts[0].threat.budgets if all(budget in row for row in rows)]
    return {budget: np.all([row[budget] for row in rows], axis=0) for budget in shared}


def labels_of(threat: BudgetedAttack, target: Evaluator, budget: Budget) -> dict[str, str]:
    """Return the labels (`where`) of a number about `threat` at one of its budgets."""
    return {"target": target.name, "attack": threat.id, "source": threat.source, "eps": budget.label}


def share(metric: str, outcome: np.ndarray, where: dict[str, str]) -> Scalar:
    """Return the metric as the share of test points at which the boolean `outcome`, (n,), is true."""
    return Scalar.share(metric, int(outcome.sum()), outcome.size, where)


def majority_rate(labels: Array, **where: str) -> Scalar:
    """Return the accuracy of always naming the most frequent class of `labels`, the floor beside every accuracy.

    `where`: labels of the number, such as the split.
    """
    counts = np.bincount(np.asarray(labels))
    return Scalar.share("majority_rate", int(counts.max(initial=0)), int(counts.sum()), where)
