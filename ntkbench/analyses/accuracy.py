"""Clean and robust accuracy of one predictor."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from ntkbench.analyses.craft import Crafted, Threat, checks, received
from ntkbench.analyses.measurement import Check, Measurement, Scalar
from ntkbench.analyses.subject import Subject

Attacked = tuple[Threat, Crafted]


@dataclass(frozen=True)
class Verdict:
    """What became of the target's answers under one attack: `robust`, per budget and test point."""

    threat: Threat
    robust: np.ndarray
    checks: tuple[Check, ...]


def accuracy(target: Subject, attacked: Sequence[Attacked]) -> Measurement:
    """Shares of test points that are right: clean, and under each attack at each budget."""
    clean, verdicts = judge(target, attacked)
    scalars = [share("accuracy", clean, {"target": target.name})]
    samples = {"clean": clean}
    for verdict in verdicts:
        for eps, robust in zip(verdict.threat.eps, verdict.robust, strict=True):
            scalars.append(share("robust_accuracy", robust, place(verdict.threat, target, eps)))
            samples[f"{verdict.threat.id}@{eps}"] = robust
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


def place(threat: Threat, target: Subject, eps: str) -> dict[str, str]:
    """What a number about one attack and budget is about."""
    return {"target": target.name, "attack": threat.id, "source": threat.source, "eps": eps}


def share(metric: str, outcome: np.ndarray, where: dict[str, str]) -> Scalar:
    """Of the test points where the outcome holds."""
    return Scalar.share(metric, int(outcome.sum()), outcome.size, where)
