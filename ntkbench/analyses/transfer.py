"""Standard metric 1: measure how well adversarial examples made on a source fool a target.

An example *succeeds* where the target is right on the clean image and wrong on the attacked one. The transfer rate
divides the successes by one of three counts: the points on which the target was right (`target_correct`), all points
(`all`), or those on which the attack fooled its own source (`source_fooled`, where only the successes among these
points count). The normalized transfer, by which leaderboards rank, puts the rate by `target_correct` on a scale from 0,
random signs of the same budget, to 1, a white-box attack on the target.
"""

from collections.abc import Sequence

import numpy as np

from ntkbench.analyses.accuracy import Attacked, judge, labels_of, majority_rate, share
from ntkbench.analyses.evaluator import Evaluator
from ntkbench.analyses.measurement import Measurement, Scalar
from ntkbench.budgets import column
from ntkbench.ntk import metrics


def transfer(
    target: Evaluator, attack: Attacked, *, ceiling: Attacked | None = None, floor: Attacked | None = None
) -> Measurement:
    """Measure the transfer of an attack to the target.

    Args:
        target: the predictor to be fooled.
        attack: the attack on the source, with its adversarial examples.
        ceiling: a white-box attack on the target with the same budgets; None: no normalized transfer.
        floor: a random attack with the same budgets; None: no normalized transfer.

    A warning says where the attack fools the target more often than the ceiling does: the ceiling is then too weak.
    """
    roles = {role: a for role, a in (("attack", attack), ("ceiling", ceiling), ("floor", floor)) if a}
    clean, verdicts = judge(target, [*roles.values()])
    judged = dict(zip(roles, verdicts, strict=True))
    scalars = [share("accuracy", clean, {"target": target.name}), majority_rate(target.labels)]
    samples = {"clean": clean, "source_clean": attack[1].source_clean}
    for role, verdict in judged.items():
        for e, (budget, robust) in enumerate(zip(verdict.threat.budgets, verdict.robust, strict=True)):
            where = labels_of(verdict.threat, target, budget)
            scalars += [share("robust_accuracy", robust, where), _rate(clean, ~robust, clean, where, "target_correct")]
            if role == "attack":
                scalars += _other_denominators(clean, ~robust, attack[1], e, where)
            samples[column(verdict.threat.id, budget)] = robust
    scalars += _normalized(target, clean, judged)
    scalars += _alignment(target, *attack)
    found = tuple(check for verdict in judged.values() for check in verdict.checks)
    return Measurement(tuple(scalars), samples=samples, checks=found, warnings=_warnings(clean, judged))


def transfer_matrix(attack: str, shown: Sequence[tuple[Evaluator, Sequence[Attacked]]]) -> Measurement:
    """Measure the transfer of one attack, made on each of several sources, to several targets.

    Each number is that of `transfer` for this source and this target; where both are the same, the attack is white-box.
    The samples hold the outcomes of each target, `TARGET.clean` and `SOURCE:TARGET.ATTACK@EPS`, and of each source,
    `SOURCE.source_clean`.

    Args:
        attack: the id that the attack has in the rows, whatever its source.
        shown: each target with the attacks that are shown to it: the one on each source, and random ones as a floor.
    """
    scalars, samples, found = [majority_rate(target.labels) for target, _ in shown[:1]], {}, {}
    for target, attacked in shown:
        clean, verdicts = judge(target, attacked)
        scalars.append(share("accuracy", clean, {"target": target.name}))
        samples[column("clean", part=target.name)] = clean
        for (threat, crafted), verdict in zip(attacked, verdicts, strict=True):
            name = threat.id if threat.objective is None else attack
            for e, (budget, robust) in enumerate(zip(threat.budgets, verdict.robust, strict=True)):
                where = {**labels_of(threat, target, budget), "attack": name}
                scalars += [
                    share("robust_accuracy", robust, where),
                    _rate(clean, ~robust, clean, where, "target_correct"),
                ]
                if threat.objective is not None:
                    scalars += _other_denominators(clean, ~robust, crafted, e, where)
                samples[column(name, budget, f"{threat.source}:{target.name}")] = robust
            if threat.objective is not None:
                samples[column("source_clean", part=threat.source)] = crafted.source_clean
            found |= {(check.code, check.ok, str(check.detail)): check for check in verdict.checks}
    return Measurement(tuple(scalars), samples=samples, checks=tuple(found.values()))


def _rate(clean, wrong, among, where, denominator):
    """Return the transfer rate over the points `among`, a mask; `denominator` is the name of this choice."""
    k, n = int(np.sum(clean & wrong & among)), int(np.sum(among))
    return Scalar.share("transfer_rate", k, n, {**where, "denominator": denominator})


def _other_denominators(clean, wrong, crafted, budget, where):
    """Return the transfer rates over all points, and over those on which the attack fooled its source."""
    fooled = crafted.source_clean & ~crafted.source_robust[budget]
    return [
        _rate(clean, wrong, np.ones_like(clean), where, "all"),
        _rate(clean, wrong, fooled, where, "source_fooled"),
    ]


def _normalized(target, clean, judged):
    """Return (TR(attack) - TR(floor)) / (TR(ceiling) - TR(floor)) a budget, TR the rate by `target_correct`."""
    if len(judged) < 3:
        return []
    attack, ceiling, floor = (~judged[role].robust[:, clean] for role in ("attack", "ceiling", "floor"))
    threat = judged["attack"].threat
    return [
        _ratio(a * 1.0 - f, c * 1.0 - f, labels_of(threat, target, budget))
        for budget, a, c, f in zip(threat.budgets, attack, ceiling, floor, strict=True)
    ]


def _ratio(above, below, where):
    """Return the ratio of the means of two arrays over the same points; no value where the lower one is not positive.

    Its standard deviation is that of the ratio's first-order change with each point (delta method).
    """
    n = above.size
    if n == 0:
        return Scalar("normalized_transfer", None, where, n=0, reason="no test point to count")
    width = float(np.mean(below))
    if width <= 0:
        return Scalar("normalized_transfer", None, where, n=n, reason="the ceiling is not above the floor")
    value = float(np.mean(above)) / width
    influence = (above - value * below) / width  # first order: the ratio's change with each point
    return Scalar("normalized_transfer", value, where, n=n, sd=float(np.std(influence, ddof=1)) if n > 1 else None)


def _alignment(target, threat, crafted):
    """Return cosine and sign agreement of the loss gradients of source and target; none without an objective."""
    if threat.objective is None:
        return []
    one = np.asarray(crafted.gradient, np.float64)
    two = np.asarray(target.gradient(threat.objective), np.float64)
    where = {"target": target.name, "attack": threat.id, "source": threat.source}
    return [
        Scalar.mean("gradient_cosine", np.asarray(metrics.cosine(one, two)), where),
        Scalar.mean("sign_agreement", np.asarray(metrics.sign_agreement(one, two)), where),
    ]


def _warnings(clean, judged):
    """Return a warning for each budget at which the attack fools the target more often than the white-box ceiling."""
    if "ceiling" not in judged:
        return ()
    fooled = {role: np.sum(clean & ~verdict.robust, axis=1) for role, verdict in judged.items()}
    return tuple(
        f"{judged['attack'].threat.id} fools more than the white-box {judged['ceiling'].threat.id} at eps {budget} "
        f"({a} of {clean.sum()} against {c}): the ceiling is too weak an attack"
        for budget, a, c in zip(judged["attack"].threat.budgets, fooled["attack"], fooled["ceiling"], strict=True)
        if a > c
    )
