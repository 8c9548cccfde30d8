"""Attacks and predictors on two pixels, small enough to count by hand.

The source looks at the first pixel alone, the target at both. Values are pixels; a label 1 wants a positive output.

    point  pixels      label  source   target     what the source's step of 0.1 does
    A      0.55 0.52   1      right    right      fools both
    B      0.55 0.70   1      right    right      fools the source alone
    C      0.70 0.45   1      right    right      fools none
    D      0.65 0.40   1      right    right      fools the target alone
    E      0.45 0.52   1      wrong    wrong      both stay wrong
    F      0.40 0.68   1      wrong    right      fools the target; the source was wrong before
    G      0.45 0.40   0      right    right      fools the source alone
    H      0.48 0.47   0      right    right      fools both
"""

import jax
import jax.numpy as jnp
import numpy as np

from ntkbench.analyses.crafting import BudgetedAttack, Crafted, craft
from ntkbench.analyses.evaluator import Evaluator
from ntkbench.budgets import Budget
from ntkbench.ntk import attacks, balls, losses
from tests.ntk.predictors import linear

PIXELS = [
    (0.55, 0.52),
    (0.55, 0.70),
    (0.70, 0.45),
    (0.65, 0.40),
    (0.45, 0.52),
    (0.40, 0.68),
    (0.45, 0.40),
    (0.48, 0.47),
]
LABELS = np.array([1, 1, 1, 1, 1, 1, 0, 0])
OBJECTIVE = attacks.Objective(losses.cross_entropy)
STEP = attacks.FGSM(balls.Linf(), OBJECTIVE)


class Brighter(attacks.Attack):
    """Moves the first pixel up by eps: a floor that is known, unlike random signs."""

    ball: balls.Ball = balls.Linf()

    def __call__(self, predictor, x, label, eps, *, key):
        return self.ball.project(x.at[..., 0].add(eps), x, eps)


def evaluator(name: str, W, dtype=np.float64, pixels=PIXELS, labels=LABELS) -> Evaluator:
    """w . (x - 1/2)."""
    X = jnp.asarray(np.asarray(pixels, np.float64).reshape(-1, 1, 1, 2), dtype)
    return Evaluator(name, linear(W, -np.sum(W) / 2, dtype), X, jnp.asarray(labels), len(labels))


def source(**how) -> Evaluator:
    return evaluator("source", [1.0, 0.0], **how)


def target(**how) -> Evaluator:
    return evaluator("target", [1.0, 1.0], **how)


def budgets(*eps: str) -> tuple[Budget, ...]:
    return tuple(map(Budget, eps))


def threat(
    id: str, source: str, attack: attacks.Attack = STEP, objective: attacks.Objective | None = OBJECTIVE, eps=("0.1",)
) -> BudgetedAttack:
    return BudgetedAttack(id, source, budgets(*eps), attack, objective)


def attacked(
    id: str, by: Evaluator, attack: attacks.Attack = STEP, objective: attacks.Objective | None = OBJECTIVE, eps=("0.1",)
) -> tuple[BudgetedAttack, Crafted]:
    """The attack and what it makes of the test points."""
    words = threat(id, by.name, attack, objective, eps)
    return words, craft(words, by, key=jax.random.key(0))


def brighter(by: Evaluator) -> tuple[BudgetedAttack, Crafted]:
    return attacked("brighter", by, Brighter(), None)
