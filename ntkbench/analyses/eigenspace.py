"""Standard metric 2: measure which eigenfeatures of a kernel are useful, which are robust, and its top eigenspaces.

Feature i is f^(i)(x) = lambda_i^-1 Theta(x, X) v_i v_i^T Y (Tsilivis & Kempe 2022, eqs. 3-4). Every feature, sum of
features and group is attacked through its own gradient; an attack may miss, so its robust accuracy is an upper bound.

Kernels are ranked by `eigenspace_robustness`, the mean robust accuracy of the sums of the first k features over a grid
of k that all kernels share. k90, the least number of top features whose sum has 90 % of the whole predictor's clean
accuracy, is reported and not ranked by: it changes with the test points, and the robustness of its sum with it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ntkbench.analyses.accuracy import majority_rate, share
from ntkbench.analyses.halves import best
from ntkbench.analyses.measurement import Measurement, Scalar
from ntkbench.analyses.significance import beats, rank_correlation
from ntkbench.analyses.spectral import Outcomes, SpectralStudy, singles
from ntkbench.budgets import column
from ntkbench.ntk import features
from ntkbench.vocabulary import grid

KEEP = 0.9
"""share of the whole predictor's clean accuracy that the first k90 features keep"""
FEWEST = 3
"""number of features below which no rank correlation is computed"""


@dataclass(frozen=True)
class PictureChoice:
    """Name the features whose input gradients are kept as pictures.

    `features`: indices of single features; `tests`: indices of test points; `groups`: whether groups are shown too.
    """

    features: Sequence[int]
    tests: Sequence[int]
    groups: bool = False


@dataclass(frozen=True)
class TestedFeatures:
    """The single features that were tested, (m,): their outcomes, and whether they beat the majority rate.

    `useful`: (m,), on clean test points; `robust`: (budgets, m), those useful features that also beat it under attack.
    """

    index: np.ndarray
    outcomes: Outcomes
    useful: np.ndarray
    robust: np.ndarray


@dataclass(frozen=True)
class Truncations:
    """The sums of the first k features that were attacked, in ascending order of k; the last is the whole predictor."""

    k: np.ndarray
    asked: np.ndarray
    """whether each k was asked for, is in the grid, or is the whole; False for k90 where it is none of these"""
    outcomes: Outcomes
    clean: np.ndarray
    """number of clean test points that the first k features have right, for every k from 1 on"""

    @property
    def k90(self) -> int:
        """The least k whose clean accuracy is `KEEP` of the whole predictor's."""
        return smallest_sufficient(self.clean)

    @property
    def grid(self) -> tuple[int, ...]:
        """The values of k at which all kernels are compared."""
        return grid(self.clean.size)

    def places(self, k: Sequence[int]) -> np.ndarray:
        """Return the positions, among the sums, of those with these numbers of features."""
        return np.searchsorted(self.k, np.array(k))


def eigenspace(
    study: SpectralStudy,
    indices: Sequence[int],
    truncations: Sequence[int],
    groups: Sequence[tuple[int, int]],
    pictures: PictureChoice | None = None,
) -> Measurement:
    """Measure usefulness and robustness of single features, of truncations, and of groups of features.

    Args:
        study: the kernel, the test points and the attack.
        indices: single features; 0 has the largest eigenvalue.
        truncations: numbers k of features; the sum of the first k and that of all others are attacked. The grid, k90
            and the whole predictor are added.
        groups: sums of consecutive features, as (first index, index after the last).
        pictures: input gradients to keep; None: none.
    """
    size, index, spans = study.eigenvalues.size, np.array(indices), np.array(groups)
    clean = study.truncated().sum(axis=0)
    asked = np.union1d(np.array(truncations, int), [*grid(size), size])
    k = np.union1d(asked, [smallest_sufficient(clean)])
    tails = np.stack([k[:-1], np.full(len(k) - 1, size)], axis=1)
    ranges = [singles(index), np.stack([0 * k, k], axis=1), tails, spans]
    every = study.outcomes(np.concatenate(ranges))
    single, top, rest, group = every.split([len(each) for each in ranges])
    found, sums = _features(study, index, single), Truncations(k, np.isin(k, asked), top, clean)
    series = {
        "eps": study.attack.radii,
        "n_test": np.array(len(study.X)),
        "majority": np.array(study.majority),
        "eigenvalue": study.eigenvalues,
        "small_gap": study.small_gaps,
        **_feature_series(found),
        **_sum_series(sums, rest),
        "group": spans,
        **group.counts("group"),
        **(_pictures(study, pictures, spans) if pictures else {}),
    }
    scalars = [
        majority_rate(study.labels),
        *_sums(study, sums),
        *_compared(study, sums),
        *_groups(study, spans, group),
        *_usefulness(study, found),
    ]
    return Measurement(
        tuple(scalars), series, _samples(study, sums), (*every.checks(study.attack.id), study.gaps(index))
    )


def smallest_sufficient(clean: np.ndarray) -> int:
    """Return k90, where `clean[k - 1]` counts the right answers of the first k features; all if `clean[-1]` is 0."""
    return 1 + int(np.argmax(clean >= KEEP * clean[-1])) if clean[-1] else clean.size


def _features(study, index, outcomes):
    """Test which single features are useful; tests of one budget are corrected together."""
    n = len(study.X)
    useful = beats(outcomes.clean.sum(axis=1), n, study.majority)
    robust = [beats(k, n, study.majority) & useful for k in outcomes.robust.sum(axis=2).T]
    return TestedFeatures(index, outcomes, useful, np.stack(robust))


# ---- numbers -------------------------------------------------------------------------------------


def _clean_and_robust(study: SpectralStudy, outcomes: Outcomes, member: int, part: str) -> Iterator[Scalar]:
    """Yield the clean accuracy of one member, and its robust accuracy at each budget, labeled with `part`."""
    yield share("accuracy", outcomes.clean[member], study.place(part=part))
    for robust, where in zip(outcomes.robust[member], study.places(part=part), strict=True):
        yield share("robust_accuracy", robust, where)


def _sums(study: SpectralStudy, sums: Truncations) -> Iterator[Scalar]:
    """Yield k90, then accuracies of the whole predictor, of the first k90 features, and of the grid's sums."""
    if sums.clean[-1]:
        yield Scalar("k90", float(sums.k90), study.place())
    else:
        yield Scalar("k90", None, study.place(), reason="the whole predictor is right about no test point")
    parts = {"all": sums.clean.size, "k90": sums.k90, **{f"top {k}": k for k in sums.grid}}
    for part, place in zip(parts, sums.places([*parts.values()]), strict=True):
        yield from _clean_and_robust(study, sums.outcomes, int(place), part)


def _compared(study: SpectralStudy, sums: Truncations) -> Iterator[Scalar]:
    """Yield the mean robust accuracy over the grid, and the best truncation, at each budget.

    The best truncation is chosen on one half of the test points, and its robust accuracy is that on the other half.
    """
    labels, asked = np.asarray(study.labels), np.flatnonzero(sums.asked)
    for e, where in enumerate(study.places()):
        robust = sums.outcomes.robust[:, e]
        yield Scalar.mean("eigenspace_robustness", robust[sums.places(sums.grid)].mean(axis=0), where)
        place, judged = best(robust[asked], labels)
        yield share("best_truncation_robustness", judged, where)
        yield Scalar("best_truncation", float(sums.k[asked[place]]), where)


def _groups(study: SpectralStudy, spans: np.ndarray, outcomes: Outcomes) -> Iterator[Scalar]:
    """Yield the accuracies of each group, `group START-STOP`."""
    for member, (start, stop) in enumerate(spans):
        yield from _clean_and_robust(study, outcomes, member, f"group {start}-{stop}")


def _usefulness(study: SpectralStudy, found: TestedFeatures) -> Iterator[Scalar]:
    """Yield, at each budget, the counts of useful features by robustness, and rank correlations over all features."""
    tested, useful = len(found.index), found.useful
    accuracy, eigenvalue = found.outcomes.clean.sum(axis=1), study.eigenvalues[found.index]
    for e, where in enumerate(study.places()):
        robust = found.outcomes.robust[:, e].sum(axis=1)
        both = int(found.robust[e].sum())
        yield Scalar("useful_robust", float(both), where, n=tested)
        yield Scalar("useful_non_robust", float(useful.sum() - both), where, n=tested)
        yield _correlated("spearman_eigenvalue_robustness", eigenvalue, robust, where)
        yield _correlated("spearman_usefulness_robustness", accuracy, robust, where)


def _correlated(metric: str, a: np.ndarray, b: np.ndarray, where: dict[str, str]) -> Scalar:
    """Return Spearman's correlation of a and b over all tested features.

    Useless features stay in: leaving them out would select by one of the quantities that are correlated.
    """
    if len(a) < FEWEST:
        return Scalar(metric, None, where, n=len(a), reason=f"fewer than {FEWEST} features are tested")
    value = rank_correlation(a, b)
    return Scalar(metric, value, where, n=len(a), reason="all tested features have the same" if value is None else None)


# ---- arrays --------------------------------------------------------------------------------------


def _feature_series(found: TestedFeatures) -> dict[str, np.ndarray]:
    """Return the arrays over single features; those that depend on the budget have it as their first axis."""
    return {
        "feature": found.index,
        **found.outcomes.counts("feature"),
        "feature_useful": found.useful,
        "feature_tested_robust": found.robust,
        "correlation": found.outcomes.correlation,
        "robust_correlation": found.outcomes.robust_correlation.T,
    }


def _sum_series(sums: Truncations, rest: Outcomes) -> dict[str, np.ndarray]:
    """Return the arrays over truncations.

    The whole predictor leaves no tail: 0 stands in its place, so that tails and truncations have equal length.
    """
    tails = {name: np.pad(v, [(0, 0)] * (v.ndim - 1) + [(0, 1)]) for name, v in rest.counts("tail").items()}
    return {
        "grid": np.array(sums.grid),
        "truncation": sums.k,
        **sums.outcomes.counts("truncation"),
        **tails,
        "cumulative_clean": sums.clean,
    }


def _samples(study: SpectralStudy, sums: Truncations) -> dict[str, np.ndarray]:
    """Return, per test point, outcomes of the first k90 features and of all, and how many of the grid are right."""
    right = np.concatenate([sums.outcomes.clean[:, None], sums.outcomes.robust], axis=1)  # truncation, budget, point
    rows = {
        "k90": right[sums.places([sums.k90])[0]],
        "all": right[-1],
        "grid": right[sums.places(sums.grid)].sum(axis=0, dtype=np.uint8),
    }

    def names(part: str) -> list[str]:
        attacked = [column(study.attack.id, budget, part) for budget in study.attack.budgets]
        return [column("clean", part=part), *attacked]

    return {name: row for part, every in rows.items() for name, row in zip(names(part), every, strict=True)}


def _pictures(study: SpectralStudy, chosen: PictureChoice, spans: np.ndarray) -> dict[str, np.ndarray]:
    """Return input gradients at the chosen test points, of single features and of the sums over groups.

    Of several outputs it is the gradient of the true class. `spans` (g, 2): the first index of each group, and the
    index after its last.
    """
    places = np.array(chosen.tests)
    X, labels = study.X[places], study.labels[places]

    def gradients(ranges: np.ndarray) -> np.ndarray:
        family = features.family(study.system, study.spans(ranges))
        return np.asarray(features.gradients(family, X, labels), np.float32)

    index = np.array(chosen.features)
    groups = {"picture_group": spans, "picture_group_gradient": gradients(spans)} if chosen.groups else {}
    return {
        "picture_feature": index,
        "picture_test": places,
        "picture_image": np.asarray(X, np.float32),
        "picture_gradient": gradients(singles(index)),
        **groups,
    }
