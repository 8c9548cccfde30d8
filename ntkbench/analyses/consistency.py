"""Measure whether kernels have the same eigenfeatures: eigenspaces, input gradients, usefulness, robustness.

The eigenvectors V_a and V_b of two kernels are functions on one training set, so that the spaces which they span can be
compared by principal angles. Single features are matched by their index; feature i is built from v_i v_i^T Y, which
does not depend on the sign of v_i. The linear kernel <x, x'> is the control: an eigenspace that it shares follows from
the data, whatever the architecture.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import subspace_angles

from ntkbench.analyses.measurement import Measurement, Scalar
from ntkbench.analyses.significance import rank_correlation
from ntkbench.analyses.spectral import SpectralStudy, singles
from ntkbench.ntk import features
from ntkbench.vocabulary import LINEAR


@dataclass(frozen=True)
class Agreement:
    """Hold how far the top eigenspaces of two kernels agree, one number for each dimension that is compared.

    A number is NaN where one of the kernels has fewer dimensions.
    """

    overlap: np.ndarray
    """mean of the squared cosines of the principal angles: 1 for equal spaces, 0 for orthogonal ones"""
    angle: np.ndarray
    """largest principal angle, in degrees"""


def consistency(
    target: SpectralStudy, others: Mapping[str, SpectralStudy], top: Sequence[int], indices: Sequence[int]
) -> Measurement:
    """Compare the target with each other kernel, and all of them with the linear kernel up to its rank.

    Robustness is compared only where the target has an attack; it is then used on the features of every kernel.

    Args:
        target: the kernel that is compared, on the training examples that all kernels share.
        others: the kernels that it is compared with, by id.
        top: dimensions of the top eigenspaces.
        indices: the features whose gradients, usefulness and robustness are compared; 0 has the largest eigenvalue.
    """
    index, studies = np.array(indices), [target, *others.values()]
    agreements = {name: _agreement(_basis(target), _basis(other), top) for name, other in others.items()}
    cosines = [_cosines(target, other, index) for other in others.values()]
    linear = _linear(target)
    controls = {study.name: _agreement(_basis(study), linear, top) for study in studies}
    attacked = [study.outcomes(singles(index)) for study in studies] if target.threat else []
    right = [outcomes.clean for outcomes in attacked] or [study.correct(index) for study in studies]
    useful = np.stack([each.sum(axis=1) for each in right])
    robust = np.stack([outcomes.robust.sum(axis=2).T for outcomes in attacked]) if attacked else None
    scalars: list[Scalar] = []
    for row, (name, agreement) in enumerate(agreements.items(), 1):
        scalars += _geometry(agreement, top, target.place(against=name))
        # Averaged over features first, so that the interval of the mean is over test points.
        scalars.append(
            Scalar.mean("feature_gradient_cosine", np.mean(cosines[row - 1], axis=0), target.place(against=name))
        )
        scalars.append(_ranks("spearman_usefulness_across", useful[[0, row]], target.place(against=name)))
        if robust is not None:
            pairs = zip(robust[[0, row]].swapaxes(0, 1), target.places(against=name), strict=True)
            scalars += [_ranks("spearman_robustness_across", *pair) for pair in pairs]
    for name, agreement in controls.items():
        scalars += _geometry(agreement, top, {"target": name, "against": LINEAR})
    series = {
        "n_test": np.array(len(target.X)),
        "top": np.array(top),
        "overlap": np.stack([agreement.overlap for agreement in agreements.values()]),
        "angle": np.stack([agreement.angle for agreement in agreements.values()]),
        "linear_rank": np.array(linear.shape[1]),
        "linear_overlap": np.stack([controls[study.name].overlap for study in studies]),
        "linear_angle": np.stack([controls[study.name].angle for study in studies]),
        "feature": index,
        "gradient_cosine": np.stack([np.nanmean(cosine, axis=1) for cosine in cosines]),
        "usefulness": useful,
        "small_gap": np.stack([study.flagged(index) for study in studies]),
        **({} if robust is None else {"eps": target.attack.radii, "robustness": robust}),
    }
    checks = [study.gaps(index) for study in studies]
    checks += [check for outcomes in attacked for check in outcomes.checks(target.attack.id)]
    return Measurement(tuple(scalars), series, checks=tuple(checks))


def _basis(study: SpectralStudy) -> np.ndarray:
    """Return the kernel's eigenvectors as columns, the one of the largest eigenvalue first."""
    return np.asarray(study.system.spectrum.eigenvectors)


def _linear(study: SpectralStudy) -> np.ndarray:
    """Return the eigenvectors of <x, x'> on the training examples as columns, those of nonzero eigenvalues alone.

    There are at most as many as an example has pixels. They are the left singular vectors of X, so that no n x n
    matrix is formed and no singular value is squared.
    """
    X = np.asarray(study.system.X, np.float64).reshape(len(study.system.X), -1)
    vectors, singular, _ = np.linalg.svd(X, full_matrices=False)
    return vectors[:, singular > max(X.shape) * np.finfo(X.dtype).eps * singular[0]]


def _agreement(one: np.ndarray, two: np.ndarray, top: Sequence[int]) -> Agreement:
    """Compare the spans of the first k columns of two orthonormal bases, for each k of `top`."""
    overlap, angle = np.full((2, len(top)), np.nan)
    for place, k in enumerate(top):
        if k <= min(one.shape[1], two.shape[1]):
            angles = subspace_angles(one[:, :k], two[:, :k])
            overlap[place], angle[place] = np.mean(np.cos(angles) ** 2), np.degrees(angles.max())
    return Agreement(overlap, angle)


def _cosines(target: SpectralStudy, other: SpectralStudy, index: np.ndarray) -> np.ndarray:
    """Return |cosine| of the input gradients of matched features, (features, test points); NaN where one is zero."""
    target.tick(f"gradients of {target.name} and {other.name}")
    return np.asarray(features.alignment(target.family(index), other.family(index), target.X, target.labels))


def _geometry(agreement: Agreement, top: Sequence[int], where: dict[str, str]) -> Iterator[Scalar]:
    """Yield overlap and angle of each dimension that both kernels have."""
    for k, overlap, angle in zip(top, agreement.overlap, agreement.angle, strict=True):
        if np.isfinite(overlap):
            yield Scalar("eigenspace_overlap", float(overlap), {**where, "top": k})
            yield Scalar("principal_angle", float(angle), {**where, "top": k})


def _ranks(metric: str, counts: np.ndarray, where: dict[str, str]) -> Scalar:
    """Return Spearman's correlation of the counts of two kernels, (2, features); no value where one is constant."""
    value, n = rank_correlation(*counts), counts.shape[1]
    return Scalar(metric, value, where, n=n, reason="all features of a kernel have the same" if value is None else None)
