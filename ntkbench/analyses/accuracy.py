"""Clean and robust accuracy of one predictor."""

from collections.abc import Sequence

import numpy as np

from ntkbench.analyses.craft import Crafted, Threat, checks, received
from ntkbench.analyses.measurement import Measurement, Scalar
from ntkbench.analyses.subject import Subject


def accuracy(target: Subject, attacked: Sequence[tuple[Threat, Crafted]]) -> Measurement:
    """Shares of test points that are right: clean, and under each attack at each budget."""
    clean = target.correct(target.X)
    scalars = [share("accuracy", clean, {"target": target.name})]
    samples, found = {"clean": clean}, []
    for threat, crafted in attacked:
        images = received(threat, crafted, target)
        found += checks(threat, crafted, images, target.X)
        for eps, image in zip(threat.eps, images, strict=True):
            robust = target.correct(image)
            scalars.append(share("robust_accuracy", robust, place(threat, target, eps)))
            samples[f"{threat.id}@{eps}"] = robust
    return Measurement(tuple(scalars), samples=samples, checks=tuple(found))


def place(threat: Threat, target: Subject, eps: str) -> dict[str, str]:
    """What a number about one attack and budget is about."""
    return {"target": target.name, "attack": threat.id, "source": threat.source, "eps": eps}


def share(metric: str, outcome: np.ndarray, where: dict[str, str]) -> Scalar:
    """Of the test points where the outcome holds."""
    return Scalar.share(metric, int(outcome.sum()), outcome.size, where)
