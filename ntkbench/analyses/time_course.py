"""Measure clean and robust accuracy of kernel regression along training time and along the ridge.

All predictors are filters of one eigendecomposition. Gradient flow on (1/2) |f - Y|^2 gives at time t
f_t = sum_i (1 - exp(-lambda_i t)) f^(i): feature i is learned on the time scale 1/lambda_i. A ridge r multiplies
feature i by lambda_i / (lambda_i + r).
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from ntkbench.analyses.accuracy import majority_rate, share
from ntkbench.analyses.halves import best
from ntkbench.analyses.measurement import Measurement, Scalar
from ntkbench.analyses.spectral import SpectralStudy
from ntkbench.ntk.regression import flow

BEYOND = 10.0
"""factor by which a range of times or ridges goes beyond the scales of the spectrum, on both sides"""


def time_course(study: SpectralStudy, times: int | Sequence[float], ridges: int | Sequence[float]) -> Measurement:
    """Attack kernel regression at each time and at each ridge, and return the accuracies.

    Args:
        study: the kernel, the test points and the attack.
        times: gradient-flow times, or a number of them, spaced evenly in the logarithm across the scales of the
            spectrum; infinite time is always added.
        ridges: ridges at infinite time, or a number of them, spaced likewise.
    """
    values, spectrum = study.eigenvalues, study.system.spectrum
    smallest = max(values[-1], float(spectrum.floor))
    time = np.union1d(_along(times, 1 / (BEYOND * values[0]), BEYOND / smallest), [np.inf])
    ridge = _along(ridges, smallest / BEYOND, BEYOND * values[0])
    flows = [*(flow(time=t) for t in time), *(flow(ridge=r) for r in ridge)]
    filters = jnp.stack([spectrum.filtered(g) for g in flows])
    every = study.outcomes(np.arange(len(filters)), lambda chosen: filters[chosen])
    of_time, of_ridge = every.split([len(time), len(ridge)])
    series = {
        "eps": study.attack.radii,
        "n_test": np.array(len(study.X)),
        "eigenvalue": values,
        "time": time,
        **of_time.counts("time"),
        "ridge": ridge,
        **of_ridge.counts("ridge"),
    }
    scalars = [share("accuracy", of_time.clean[-1], study.place(part="all")), majority_rate(study.labels)]
    for robust, where in zip(of_time.robust[-1], study.places(part="all"), strict=True):
        scalars.append(share("robust_accuracy", robust, where))
    for name, along, outcomes in (("time", time, of_time), ("ridge", ridge, of_ridge)):
        for e, where in enumerate(study.places()):
            scalars += _best(name, along, outcomes.robust[:, e], np.asarray(study.labels), where)
    return Measurement(tuple(scalars), series, checks=every.checks(study.attack.id))


def _best(name, along, robust, labels, where):
    """Return the best robust accuracy along times or ridges, and the time or ridge where it is.

    The place is chosen on one half of the test points, and the accuracy is that on the other half.
    """
    place, judged = best(robust, labels)
    at = float(along[place])
    there = Scalar(f"best_{name}", at, where) if np.isfinite(at) else Scalar(f"best_{name}", None, where, reason="inf")
    return share(f"best_{name}_robustness", judged, where), there


def _along(given: int | Sequence[float], low: float, high: float) -> np.ndarray:
    """Return the given values, or so many from `low` to `high` at even distances of their logarithms."""
    return np.geomspace(low, high, given) if isinstance(given, int) else np.array(given)
