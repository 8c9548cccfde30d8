"""Whether kernels agree on what the features are: eigenspaces, gradients, usefulness, robustness.

Features are matched by their index. Both V_a and V_b are functions on the same training set, so that their spaces
can be compared; v v^T Y has no sign to choose. The linear kernel <x, x'> is a control: a space that is its own, too, is
one that the data have, whatever the architecture.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ntkbench.analyses.measurement import Measurement, Scalar
from ntkbench.analyses.names import LINEAR
from ntkbench.analyses.significance import rank_correlation
from ntkbench.analyses.study import Study, singles
from ntkbench.ntk import features


@dataclass(frozen=True)
class Agreement:
    """Of two kernels, by dimension of their top eigenspaces; NaN where one of them has fewer dimensions."""

    overlap: np.ndarray
    angle: np.ndarray


def consistency(target: Study, others: Mapping[str, Study], top: Sequence[int], indices: Sequence[int]) -> Measurement:
    """Of the target with each other kernel: top eigenspaces by dimension, features by index.

    Robustness is compared where the target has an attack. The eigenspaces of each are compared with those of the linear
    kernel, up to its rank.
    """
    index, studies = np.array(indices), [target, *others.values()]
    agreements = {name: _agreement(_basis(target), _basis(other), top) for name, other in others.items()}
    cosines = [_cosines(target, other, index) for other in others.values()]
    linear = _linear(target)
    controls = {study.name: _agreement(_basis(study), linear, top) for study in studies}
    attacked = [study.outcomes(singles(index)) for study in studies] if target.threat else []
    right = [outcomes.clean for outcomes in attacked] or [study.right(index) for study in studies]
    useful = np.stack([each.sum(axis=1) for each in right])
    robust = np.stack([outcomes.robust.sum(axis=2).T for outcomes in attacked]) if attacked else None
    scalars: list[Scalar] = []
    for row, (name, agreement) in enumerate(agreements.items(), 1):
        scalars += _geometry(agreement, top, target.place(against=name))
        # Over test points: the mean over features is one number a point.
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
        **({} if robust is None else {"eps": np.array(target.attack.radii), "robustness": robust}),
    }
    checks = [study.gaps(index) for study in studies]
    checks += [check for outcomes in attacked for check in outcomes.checks(target.attack.id)]
    return Measurement(tuple(scalars), series, checks=tuple(checks))


def _basis(study: Study) -> np.ndarray:
    return np.asarray(study.system.spectrum.eigenvectors)


def _linear(study: Study) -> np.ndarray:
    """Eigenvectors of <x, x'> on the training examples, as many as it has rank: at most as many as there are pixels."""
    X = np.asarray(study.system.X, np.float64).reshape(len(study.system.X), -1)
    vectors, singular, _ = np.linalg.svd(X, full_matrices=False)
    return vectors[:, singular > max(X.shape) * np.finfo(X.dtype).eps * singular[0]]


def _agreement(one: np.ndarray, two: np.ndarray, top: Sequence[int]) -> Agreement:
    from scipy.linalg import subspace_angles

    overlap, angle = np.full((2, len(top)), np.nan)
    for place, k in enumerate(top):
        if k <= min(one.shape[1], two.shape[1]):
            angles = subspace_angles(one[:, :k], two[:, :k])
            overlap[place], angle[place] = np.mean(np.cos(angles) ** 2), np.degrees(angles.max())
    return Agreement(overlap, angle)


def _cosines(target: Study, other: Study, index: np.ndarray) -> np.ndarray:
    """|cosine| of input gradients, by feature and test point."""
    target.tick(f"gradients of {target.name} and {other.name}")
    return np.asarray(features.alignment(target.family(index), other.family(index), target.X, target.labels))


def _geometry(agreement: Agreement, top: Sequence[int], where: dict[str, str]) -> Iterator[Scalar]:
    for k, overlap, angle in zip(top, agreement.overlap, agreement.angle, strict=True):
        if np.isfinite(overlap):
            yield Scalar("eigenspace_overlap", float(overlap), {**where, "top": k})
            yield Scalar("principal_angle", float(angle), {**where, "top": k})


def _ranks(metric: str, counts: np.ndarray, where: dict[str, str]) -> Scalar:
    value, n = rank_correlation(*counts), counts.shape[1]
    return Scalar(metric, value, where, n=n, reason="all features of a kernel have the same" if value is None else None)
