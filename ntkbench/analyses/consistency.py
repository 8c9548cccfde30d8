"""Whether kernels agree on what the features are: eigenspaces, gradients, usefulness, robustness.

Features are matched by their index. Both V_a and V_b are functions on the same training set, so that their spaces
can be compared; v v^T Y has no sign to choose.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ntkbench.analyses.measurement import Measurement, Scalar
from ntkbench.analyses.significance import rank_correlation
from ntkbench.analyses.study import Study, singles
from ntkbench.ntk import features


@dataclass(frozen=True)
class Agreement:
    """Of the target with another kernel: by dimension of the eigenspaces; by feature and test point."""

    overlap: np.ndarray
    angle: np.ndarray
    cosine: np.ndarray


def consistency(target: Study, others: Mapping[str, Study], top: Sequence[int], indices: Sequence[int]) -> Measurement:
    """Of the target with each other kernel: top eigenspaces by dimension, features by index.

    Robustness is compared where the target has an attack.
    """
    index, studies = np.array(indices), [target, *others.values()]
    agreements = {name: _agreement(target, other, top, index) for name, other in others.items()}
    attacked = [study.outcomes(singles(index)) for study in studies] if target.threat else []
    right = [outcomes.clean for outcomes in attacked] or [study.right(index) for study in studies]
    useful = np.stack([each.sum(axis=1) for each in right])
    robust = np.stack([outcomes.robust.sum(axis=2).T for outcomes in attacked]) if attacked else None
    scalars: list[Scalar] = []
    for row, (name, agreement) in enumerate(agreements.items(), 1):
        scalars += _geometry(agreement, top, target.place(against=name))
        scalars.append(_ranks("spearman_usefulness_across", useful[[0, row]], target.place(against=name)))
        if robust is not None:
            pairs = zip(robust[[0, row]].swapaxes(0, 1), target.places(against=name), strict=True)
            scalars += [_ranks("spearman_robustness_across", *pair) for pair in pairs]
    series = {
        "n_test": np.array(len(target.X)),
        "top": np.array(top),
        "overlap": np.stack([agreement.overlap for agreement in agreements.values()]),
        "angle": np.stack([agreement.angle for agreement in agreements.values()]),
        "feature": index,
        "gradient_cosine": np.stack([np.nanmean(agreement.cosine, axis=1) for agreement in agreements.values()]),
        "usefulness": useful,
        "small_gap": np.stack([study.flagged(index) for study in studies]),
        **({} if robust is None else {"eps": np.array(target.attack.radii), "robustness": robust}),
    }
    checks = [study.gaps(index) for study in studies]
    checks += [check for outcomes in attacked for check in outcomes.checks(target.attack.id)]
    return Measurement(tuple(scalars), series, checks=tuple(checks))


def _agreement(target: Study, other: Study, top: Sequence[int], index: np.ndarray) -> Agreement:
    from scipy.linalg import subspace_angles

    one, two = (np.asarray(study.system.spectrum.eigenvectors) for study in (target, other))
    angles = [subspace_angles(one[:, :k], two[:, :k]) for k in top]
    target.tick(f"gradients of {target.name} and {other.name}")
    families = target.family(index), other.family(index)
    cosine = np.asarray(features.alignment(*families, target.X, target.labels))
    return Agreement(
        np.array([np.mean(np.cos(each) ** 2) for each in angles]),
        np.array([np.degrees(each.max()) for each in angles]),
        cosine,
    )


def _geometry(agreement: Agreement, top: Sequence[int], where: dict[str, str]) -> Iterator[Scalar]:
    for k, overlap, angle in zip(top, agreement.overlap, agreement.angle, strict=True):
        yield Scalar("eigenspace_overlap", float(overlap), {**where, "top": k})
        yield Scalar("principal_angle", float(angle), {**where, "top": k})
    # Over test points: the mean over features is one number a point.
    yield Scalar.mean("feature_gradient_cosine", np.mean(agreement.cosine, axis=0), where)


def _ranks(metric: str, counts: np.ndarray, where: dict[str, str]) -> Scalar:
    value, n = rank_correlation(*counts), counts.shape[1]
    return Scalar(metric, value, where, n=n, reason="all features of a kernel have the same" if value is None else None)
