"""Standard metric 2: which features of a kernel are useful, which are robust, and how robust is its top eigenspace.

Every feature, sum of features and group is attacked through its own gradient, so that its robust accuracy is an upper
bound. k90 is the least number of top features whose sum has 90 % of the whole predictor's clean accuracy.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ntkbench.analyses.accuracy import share
from ntkbench.analyses.measurement import Measurement, Scalar
from ntkbench.analyses.significance import beats, rank_correlation
from ntkbench.analyses.study import Outcomes, Study, singles
from ntkbench.ntk import features

KEEP = 0.9
"""of the clean accuracy"""
FEWEST = 3
"""useful features that a rank correlation needs"""


@dataclass(frozen=True)
class Features:
    """Single ones: their indices, what became of them, and whether they beat chance, clean and under each budget."""

    index: np.ndarray
    outcomes: Outcomes
    useful: np.ndarray
    robust: np.ndarray


@dataclass(frozen=True)
class Truncations:
    """Sums of the first k features, the last of them the whole predictor; `clean`: right answers, for all k."""

    k: np.ndarray
    outcomes: Outcomes
    clean: np.ndarray

    @property
    def k90(self) -> int:
        return smallest_sufficient(self.clean)

    @property
    def kept(self) -> int:
        """The place of k90."""
        return int(np.searchsorted(self.k, self.k90))


def eigenspace(
    study: Study,
    indices: Sequence[int],
    truncations: Sequence[int],
    groups: Sequence[tuple[int, int]],
    pictures: tuple[Sequence[int], Sequence[int]] | None = None,
) -> Measurement:
    """Single features by index, truncations by their number of features, groups as ranges of indices.

    `pictures`: of which features, at which test points, to keep the input gradient.
    """
    size, index, spans = study.eigenvalues.size, np.array(indices), np.array(groups)
    clean = study.truncated().sum(axis=0)
    k = np.union1d(np.array(truncations, int), [smallest_sufficient(clean), size])
    tails = np.stack([k[:-1], np.full(len(k) - 1, size)], axis=1)
    ranges = [singles(index), np.stack([0 * k, k], axis=1), tails, spans]
    every = study.outcomes(np.concatenate(ranges))
    single, top, rest, group = every.split([len(each) for each in ranges])
    found, sums = _features(study, index, single), Truncations(k, top, clean)
    series = {
        "eps": np.array(study.attack.radii),
        "n_test": np.array(len(study.X)),
        "majority": np.array(study.majority),
        "eigenvalue": study.eigenvalues,
        "small_gap": study.small_gaps,
        **_feature_series(found),
        **_sum_series(sums, rest),
        "group": spans,
        **group.counts("group"),
        **(_pictures(study, *pictures) if pictures else {}),
    }
    scalars = [
        *_whole(study, sums),
        *_kept(study, sums),
        *_groups(study, spans, group),
        *_usefulness(study, found),
    ]
    return Measurement(
        tuple(scalars), series, _samples(study, sums), (*every.checks(study.attack.id), study.gaps(index))
    )


def smallest_sufficient(clean: np.ndarray) -> int:
    """k90, from the right answers of the first k features for all k."""
    return 1 + int(np.argmax(clean >= KEEP * clean[-1]))


def _features(study, index, outcomes):
    n = len(study.X)
    useful = beats(outcomes.clean.sum(axis=1), n, study.majority)
    robust = [beats(k, n, study.majority) & useful for k in outcomes.robust.sum(axis=2).T]
    return Features(index, outcomes, useful, np.stack(robust))


# ---- numbers -------------------------------------------------------------------------------------


def _both(study: Study, outcomes: Outcomes, member: int, part: str) -> Iterator[Scalar]:
    """Accuracy, clean and robust."""
    yield share("accuracy", outcomes.clean[member], study.place(part=part))
    for robust, where in zip(outcomes.robust[member], study.places(part=part), strict=True):
        yield share("robust_accuracy", robust, where)


def _whole(study: Study, sums: Truncations) -> Iterator[Scalar]:
    yield from _both(study, sums.outcomes, -1, "all")


def _kept(study: Study, sums: Truncations) -> Iterator[Scalar]:
    yield Scalar("k90", float(sums.k90), study.place())
    yield share("accuracy", sums.outcomes.clean[sums.kept], study.place(part="k90"))
    for e, where in enumerate(study.places()):
        robust = sums.outcomes.robust[:, e]
        best = int(np.argmax(robust.sum(axis=1)))
        yield share("eigenspace_robustness", robust[sums.kept], where)
        yield share("best_truncation_robustness", robust[best], where)
        yield Scalar("best_truncation", float(sums.k[best]), where)


def _groups(study: Study, spans: np.ndarray, outcomes: Outcomes) -> Iterator[Scalar]:
    for member, (start, stop) in enumerate(spans):
        yield from _both(study, outcomes, member, f"group {start}-{stop}")


def _usefulness(study: Study, found: Features) -> Iterator[Scalar]:
    tested, useful = len(found.index), found.useful
    accuracy = found.outcomes.clean.sum(axis=1)[useful]
    for e, where in enumerate(study.places()):
        robust = found.outcomes.robust[useful, e].sum(axis=1)
        both = int(found.robust[e].sum())
        yield Scalar("useful_robust", float(both), where, n=tested)
        yield Scalar("useful_non_robust", float(useful.sum() - both), where, n=tested)
        for metric, by in (("eigenvalue", study.eigenvalues[found.index[useful]]), ("usefulness", accuracy)):
            yield _correlated(f"spearman_{metric}_robustness", by, robust, where)


def _correlated(metric: str, a: np.ndarray, b: np.ndarray, where: dict[str, str]) -> Scalar:
    if len(a) < FEWEST:
        return Scalar(metric, None, where, n=len(a), reason=f"fewer than {FEWEST} of the features are useful")
    value = rank_correlation(a, b)
    return Scalar(metric, value, where, n=len(a), reason="all useful features have the same" if value is None else None)


# ---- arrays --------------------------------------------------------------------------------------


def _feature_series(found: Features) -> dict[str, np.ndarray]:
    return {
        "feature": found.index,
        **found.outcomes.counts("feature"),
        "feature_useful": found.useful,
        "feature_tested_robust": found.robust,
        "correlation": found.outcomes.correlation,
        "robust_correlation": found.outcomes.robust_correlation.T,
    }


def _sum_series(sums: Truncations, rest: Outcomes) -> dict[str, np.ndarray]:
    """Nothing is left of the last truncation: that tail has no right answers."""
    tails = {name: np.pad(v, [(0, 0)] * (v.ndim - 1) + [(0, 1)]) for name, v in rest.counts("tail").items()}
    return {"truncation": sums.k, **sums.outcomes.counts("truncation"), **tails, "cumulative_clean": sums.clean}


def _samples(study: Study, sums: Truncations) -> dict[str, np.ndarray]:
    """Outcomes per test point of the kept eigenspace, and of the whole predictor."""
    found = {}
    for prefix, member in (("", sums.kept), ("all.", -1)):
        rows = (sums.outcomes.clean[member], *sums.outcomes.robust[member])
        found |= {f"{prefix}{name}": row for name, row in zip(("clean", *study.columns), rows, strict=True)}
    return found


def _pictures(study: Study, indices: Sequence[int], tests: Sequence[int]) -> dict[str, np.ndarray]:
    """Gradients of features in their input; of several outputs, that of the true class."""
    X, labels = study.X[np.array(tests)], study.labels[np.array(tests)]
    gradients = features.gradients(study.family(np.array(indices)), X, labels)
    return {
        "picture_feature": np.array(indices),
        "picture_test": np.array(tests),
        "picture_image": np.asarray(X, np.float32),
        "picture_gradient": np.asarray(gradients, np.float32),
    }
