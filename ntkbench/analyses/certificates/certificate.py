"""Measure up to which radius the predictions of a kernel are certain, beside what an attack leaves of them.

    certified accuracy <= true robust accuracy <= accuracy under any attack

`ntk.relaxation` proves the left side; an attack gives the right one, and the gap is where neither knows.
"""

from collections.abc import Iterator, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ntkbench.analyses.accuracy import Attacked, judge, labels_of, majority_rate, share
from ntkbench.analyses.certificates.fitted import FittedKernel
from ntkbench.analyses.evaluator import Evaluator
from ntkbench.analyses.measurement import Check, Measurement, Scalar
from ntkbench.budgets import Budget, column
from ntkbench.ntk import balls, relaxation


def certificate(
    fitted: FittedKernel,
    tests: Float[Array, "t ..."],
    labels: Int[np.ndarray, " t"],
    ball: balls.Ball,
    budgets: Sequence[Budget],
    attacked: tuple[Evaluator, Attacked] | None = None,
    *,
    tile_bytes: float,
) -> Measurement:
    """Return certified accuracies and radii, those of each bound alone, and the accuracy under an attack.

    Args:
        fitted: the kernel and its regression, in float64.
        tests: test images, in float64.
        labels: their labels.
        ball: norm of the threat set.
        budgets: radii of the certified accuracy.
        attacked: the same predictor as an evaluator, and what an attack with the same norm and budgets made of `tests`.
        tile_bytes: memory for the bounds of several test points at once.
    """
    n, X = len(tests), fitted.X.reshape(len(fitted.X), -1)
    margins = relaxation.Margins.of(fitted.kernel, X, fitted.alpha, fitted.spectrum)
    batch = int(min(n, max(1, tile_bytes // relaxation.example_bytes(*X.shape))))
    radii = jnp.array([0.0, *(budget.radius for budget in budgets)])
    y = jnp.asarray(labels)
    found = relaxation.bounds(margins, ball, tests, y, radii, batch_size=batch)
    clean, *certified = np.asarray(found.best > 0).T
    reached = relaxation.certified_radius(margins, ball, tests, y, batch_size=batch)
    radius = np.asarray(reached.best)
    scalars = [*_accuracies(fitted.name, found, budgets), *_radii(fitted.name, reached), majority_rate(y)]
    samples = {"certified_radius": radius}
    samples |= {column("certified", budget): right for budget, right in zip(budgets, certified, strict=True)}
    series = {
        "eps": np.array([budget.radius for budget in budgets]),
        "n_test": np.array(n),
        "clean": np.array(clean.sum()),
        "certified": np.array([right.sum() for right in certified]),
        **{f"certified_{name}": (np.asarray(values) > 0).sum(axis=0)[1:] for name, values in found._asdict().items()},
        "radius": np.sort(radius),
    }
    if attacked is None:
        scalars.append(share("accuracy", clean, {"target": fitted.name}))
        return Measurement(tuple(scalars), series, {"clean": clean, **samples})
    right, (verdict,) = judge(attacked[0], [attacked[1]])
    scalars.append(share("accuracy", right, {"target": fitted.name}))
    for budget, robust, sure in zip(verdict.threat.budgets, verdict.robust, certified, strict=True):
        about = labels_of(verdict.threat, attacked[0], budget)
        scalars += [share("robust_accuracy", robust, about), share("certified_gap", robust & ~sure, about)]
        samples[column(verdict.threat.id, budget)] = robust
    series["robust"] = verdict.robust.sum(axis=1)
    checks = (*verdict.checks, _sound(verdict.robust, np.array(certified), verdict.threat.id))
    return Measurement(tuple(scalars), series, {"clean": right, **samples}, checks)


def _accuracies(target: str, found: relaxation.Bound, budgets: Sequence[Budget]) -> list[Scalar]:
    """Return the certified accuracy at each budget: by the best bound of each example, and by each bound alone."""
    return [
        share(
            "certified_accuracy", np.asarray(values[:, e] > 0), {"target": target, "eps": budget.label, "bound": name}
        )
        for name, values in _parts(found)
        for e, budget in enumerate(budgets, start=1)
    ]


def _radii(target: str, reached: relaxation.Bound) -> Iterator[Scalar]:
    """Yield the median and the mean of the certified radii, in the same order."""
    for name, values in _parts(reached):
        about, radius = {"target": target, "bound": name}, np.asarray(values)
        yield Scalar("certified_radius", float(np.median(radius)), {**about, "statistic": "median"}, n=len(radius))
        yield Scalar.mean("certified_radius", radius, {**about, "statistic": "mean"})


def _parts(found: relaxation.Bound) -> list[tuple[str, Array]]:
    """Return what each bound gives by its name, and first the best of them."""
    return [("best", found.best), *found._asdict().items()]


def _sound(robust: np.ndarray, certified: np.ndarray, attack: str) -> Check:
    """Check that the attack turned no example that is certified."""
    broken = int(np.sum(certified & ~robust))
    return Check("certified_not_broken", broken == 0, {"attack": attack, "broken": broken})
