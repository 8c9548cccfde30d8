"""Measure how many wrong training labels the predictions of a kernel withstand, whichever labels they are.

The certificate is exact: with one flip more there are labels that turn the prediction (`ntk.certificates`).
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ntkbench.analyses.accuracy import majority_rate, share
from ntkbench.analyses.certificates.fitted import FittedKernel
from ntkbench.analyses.measurement import Measurement, Scalar
from ntkbench.ntk import certificates


def label_flips(
    fitted: FittedKernel,
    tests: Float[Array, "t ..."],
    labels: Int[np.ndarray, " t"],
    flips: Sequence[int],
    *,
    tile_bytes: float,
) -> Measurement:
    """Return the certified accuracy at each number of flipped labels, and the number that test points withstand.

    The samples are `clean`, whether a test point is right, and `label_flips`, how many flips it withstands: 0 where it
    is wrong. The mean and the median count wrong points as 0.
    """
    n, found = len(fitted.X), []
    for block in certificates.blocks(len(tests), 8 * 4 * n * fitted.classes, tile_bytes):
        weights = certificates.influence(
            fitted.kernel, fitted.X, fitted.spectrum.eigenvectors, fitted.filtered, tests[block], tile_bytes=tile_bytes
        )
        found.append(_withstood(fitted, weights, labels[block]))
    withstood = np.concatenate(found)
    clean, number = withstood >= 0, np.maximum(withstood, 0)
    about = {"target": fitted.name}
    certified = [clean & (number >= r) for r in flips]
    scalars = [
        share("accuracy", clean, about),
        majority_rate(jnp.asarray(labels)),
        *(
            Scalar.share("certified_accuracy", int(right.sum()), len(right), {**about, "flips": r})
            for r, right in zip(flips, certified, strict=True)
        ),
        Scalar("certified_label_flips", float(np.median(number)), {**about, "statistic": "median"}, n=len(number)),
        Scalar.mean("certified_label_flips", number.astype(float), {**about, "statistic": "mean"}),
    ]
    series = {
        "flips": np.array(flips),
        "certified": np.array([right.sum() for right in certified]),
        "n_test": np.array(len(clean)),
    }
    return Measurement(tuple(scalars), series, {"clean": clean, "label_flips": number})


def _withstood(fitted: FittedKernel, weights: Float[Array, "t n"], labels: np.ndarray) -> np.ndarray:
    return np.asarray(
        certificates.label_flips(
            weights,
            jnp.asarray(fitted.labels),
            jnp.asarray(labels),
            fitted.classes,
            precision=fitted.spectrum.precision,
            batch_size=len(labels),
        )
    )
