"""Clean and robust accuracy of one predictor.

Under several attacks of one threat set a test point counts as right where it stays so under all of them: robust
accuracy is the worst case of each point, never a mean over attacks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array

from ntkbench.analyses.craft import Crafted, Threat, checks, received
from ntkbench.analyses.measurement import Check, Measurement, Scalar
from ntkbench.analyses.names import WORST
from ntkbench.analyses.subject import Subject

Attacked = tuple[Threat, Crafted]


@dataclass(frozen=True)
class Verdict:
    """What became of the target's answers under one attack: `robust`, per budget and test point."""

    threat: Threat
    robust: np.ndarray
    checks: tuple[Check, ...]


def accuracy(target: Subject, attacked: Sequence[Attacked]) -> Measurement:
    """Shares of test points that are right: clean, under each attack at each budget, and under all of them."""
    clean, verdicts = judge(target, attacked)
    scalars = [share("accuracy", clean, {"target": target.name})]
    samples = {"clean": clean}
    for verdict in verdicts:
        for eps, robust in zip(verdict.threat.eps, verdict.robust, strict=True):
            scalars.append(share("robust_accuracy", robust, place(verdict.threat, target, eps)))
            samples[f"{verdict.threat.id}@{eps}"] = robust
    for eps, robust in worst(verdicts).items():
        scalars.append(share("robust_accuracy", robust, {"target": target.name, "attack": WORST, "eps": eps}))
        samples[f"{WORST}@{eps}"] = robust
    scalars.append(majority_rate(target.labels))
    found = tuple(check for verdict in verdicts for check in verdict.checks)
    return Measurement(tuple(scalars), samples=samples, checks=found)


def judge(target: Subject, attacked: Sequence[Attacked]) -> tuple[np.ndarray, list[Verdict]]:
    """Whether the target is right on each clean image, and on what each attack made of it."""
    images = [received(threat, crafted, target) for threat, crafted in attacked]
    clean, *robust = target.correct(jnp.concatenate([target.X[None], *images]))
    verdicts = []
    for (threat, crafted), seen in zip(attacked, images, strict=True):
        own, robust = np.stack(robust[: len(seen)]), robust[len(seen) :]
        verdicts.append(Verdict(threat, own, tuple(checks(threat, crafted, seen, target.X))))
    return clean, verdicts


def worst(verdicts: Sequence[Verdict]) -> dict[str, np.ndarray]:
    """Whether the target stays right under all attacks, two or more of one norm, at each budget that they share."""
    if len(verdicts) < 2 or len({verdict.threat.ball for verdict in verdicts}) > 1:
        return {}
    rows = [dict(zip(verdict.threat.eps, verdict.robust, strict=True)) for verdict in verdicts]
    shared = [eps for eps in verdicts[0].threat.eps if all(eps in row for row in rows)]
    return {eps: np.all([row[eps] for row in rows], axis=0) for eps in shared}


def place(threat: Threat, target: Subject, eps: str) -> dict[str, str]:
    """What a number about one attack and budget is about."""
    return {"target": target.name, "attack": threat.id, "source": threat.source, "eps": eps}


def share(metric: str, outcome: np.ndarray, where: dict[str, str]) -> Scalar:
    """Of the test points where the outcome holds."""
    return Scalar.share(metric, int(outcome.sum()), outcome.size, where)


def majority_rate(labels: Array, **where: str) -> Scalar:
    """The accuracy of always naming the largest class: what no predictor has to be good for."""
    counts = np.bincount(np.asarray(labels))
    return Scalar.share("majority_rate", int(counts.max(initial=0)), int(counts.sum()), where)
