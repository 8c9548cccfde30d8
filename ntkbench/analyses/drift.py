"""Standard metric 3: measure how the empirical kernel of a network moves along its training, on a fixed probe.

    measurement = drift(course, {"test": view}, attack=Armed(threat, key))

The distance of two kernels is that of their directions, D = 1 - <K, K'> / (|K| |K'|) (Fort 2020); formulas are in
`ntk.drift`, the snapshots come from `analyses.trajectory`. An adversarial probe is attacked anew at each snapshot
through that snapshot's own gradient: its kernels move with the weights and with the images, so that its numbers are
reported apart from those of the clean probe.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import groupby
from types import MappingProxyType

import numpy as np

from ntkbench.analyses.accuracy import judge, majority_rate, place, share
from ntkbench.analyses.crafting import craft
from ntkbench.analyses.measurement import Check, Measurement, Scalar
from ntkbench.analyses.trajectory import Armed, Course, Snapshot, View, follow
from ntkbench.ntk import drift as kernels

CONSTANT = 1e-6
"""largest kernel distance that rounding explains where the network is linearized and its kernel constant"""
_RANKS = MappingProxyType(
    {
        "participation_rank": kernels.participation_rank,
        "entropy_rank": kernels.entropy_rank,
        "stable_rank": kernels.stable_rank,
    }
)
"""effective ranks by metric; each takes the eigenvalues of all snapshots, (snapshots, rows)"""


def drift(
    course: Course,
    judged: Mapping[str, View],
    *,
    attack: Armed | None = None,
    adversary: Armed | None = None,
    at: Sequence[int] | None = None,
) -> Measurement:
    """Measure the drift of the kernel, the way of the weights, and accuracies along the training.

    Args:
        course: the training and its probe.
        judged: views of the examples that accuracies are counted on, by split. Outcomes per example at the end of the
            training become samples for the split `test` alone.
        attack: the attack of robust accuracies; None: clean accuracies alone.
        adversary: an attack with one budget on the probe, whose kernels give a second set of numbers.
        at: indices of the snapshots at which accuracies are counted, the last one included; None: all.
    """
    common = {"epoch": course.epochs, "horizon": course.epochs[1:], "top": np.array(course.top)}
    parts = [Measurement(series=common), _kernels(course)]
    if adversary:
        parts.append(_kernels(course, adversary))
    moments = [course.moments[i] for i in at or range(len(course.moments))]
    parts += [_weights(course), *(_accuracy(course, moments, split, view, attack) for split, view in judged.items())]
    return Measurement(
        tuple(scalar for part in parts for scalar in part.scalars),
        {name: values for part in parts for name, values in part.series.items()},
        {name: values for part in parts for name, values in part.samples.items()},
        tuple(check for part in parts for check in part.checks),
    )


# ---- kernels -------------------------------------------------------------------------------------


def _kernels(course: Course, adversary: Armed | None = None) -> Measurement:
    """Measure the kernels on one probe; series of the adversarial one begin with `adversarial_`."""
    snapshots, products = follow(course, adversary)
    distances = kernels.distances(products)
    probe = "adversarial" if adversary else "clean"
    series = {**_paths(course, snapshots, products, distances), **_looks(course, snapshots)}
    scalars = (*_way(course, distances, {"probe": probe}), *_ends(course, series, {"probe": probe}))
    found = _checks(course, snapshots, probe, distances)
    prefix = "adversarial_" if adversary else ""
    return Measurement(scalars, {prefix + name: values for name, values in series.items()}, checks=tuple(found))


def _paths(course, snapshots, products, distances) -> dict[str, np.ndarray]:
    """Return the series that compare snapshots: distances, velocities, onsets, and polar coordinates about K_0.

    Polar coordinates are given for the whole kernel, for its top eigenvectors (`top_`), and for the rest (`rest_`).
    """
    parts = np.stack([each.parts for each in snapshots], axis=-1)
    curves = {
        "": kernels.polar(np.diagonal(products), products[:, 0]),
        "top_": kernels.polar(*parts[:, 0]),
        "rest_": kernels.polar(*parts[:, 1]),
    }
    return {
        "distance": distances,
        "velocity": kernels.velocities(distances, course.epochs),
        "onset_by_horizon": kernels.by_horizon(kernels.lazy_onset, distances, course.epochs),
        "nearness_by_horizon": kernels.by_horizon(kernels.nearness_onset, distances, course.epochs),
        **{f"{part}radius": radius for part, (radius, _) in curves.items()},
        **{f"{part}angle": angle for part, (_, angle) in curves.items()},
    }


def _looks(course, snapshots) -> dict[str, np.ndarray]:
    """Return the series that look at one kernel at a time: top mass, ranks, alignment, and the kernels to be kept."""
    values = np.stack([each.eigenvalues for each in snapshots])
    found = {
        "top_mass": np.array([kernels.top_mass(values, k) for k in course.top]).reshape(len(course.top), len(values)),
        **{name: rank(values) for name, rank in _RANKS.items()},
        "label_alignment": np.array([each.alignment for each in snapshots]),
    }
    if snapshots[0].specialization is not None:
        found["class_specialization"] = np.array([each.specialization for each in snapshots])
    if course.kept:
        found["kernel"] = np.stack([each.kernel for each in snapshots if each.kernel is not None])
        found["kernel_epoch"] = course.epochs[sorted(course.kept)]
    return found


def _way(course, distances, where) -> Iterator[Scalar]:
    """Yield kernel drift D(K_0, K_T), path length, and lazy onset."""
    whole, onset = float(distances[0, -1]), kernels.lazy_onset(distances, course.epochs)
    yield Scalar("kernel_drift", whole, where)
    yield Scalar("path_length", kernels.path_length(distances), where)
    yield Scalar("lazy_onset", onset, where, reason=None if onset is not None else _no_onset(course, distances))


def _no_onset(course, distances) -> str:
    """Return why `lazy_onset` has no value."""
    if not kernels.moves(distances):
        return f"the kernel does not move: no two snapshots are more than {float(distances.max()):.1e} apart"
    return f"the kernel is still fast at the end, epoch {course.moments[-1]}: the training is too short to tell"


def _ends(course, series, where) -> Iterator[Scalar]:
    """Yield the metrics of single kernels at init and at the end of the training."""
    for at, i in (("init", 0), ("final", -1)):
        for k, mass in zip(course.top, series["top_mass"], strict=True):
            yield Scalar("top_mass", float(mass[i]), {**where, "top": k, "at": at})
        for metric in (*_RANKS, "label_alignment", "class_specialization"):
            if metric in series:
                yield Scalar(metric, float(series[metric][i]), {**where, "at": at})


def _checks(course, snapshots: Sequence[Snapshot], probe: str, distances) -> Iterator[Check]:
    """Yield whether kernels are finite, the probe is balanced, and the kernel of a linearized network stays constant.

    The last two are asked of the clean probe alone: an adversarial one changes the kernel by its images.
    """
    lost = sum(not each.finite for each in snapshots)
    yield Check("kernel_finite", lost == 0, {"probe": probe, "not_finite": lost, "snapshots": len(snapshots)})
    if probe == "clean":
        counts = np.unique(course.targets, axis=0, return_counts=True)[1]
        yield Check("probe_balanced", bool(np.ptp(counts) == 0), {"classes": len(counts), "fewest": int(counts.min())})
        if course.linear_from is not None:
            since = np.flatnonzero(course.epochs >= float(course.linear_from))
            largest = float(distances[np.ix_(since, since)].max())
            yield Check("kernel_constant", largest < CONSTANT, {"largest": largest, "snapshots": len(since)})
    yield from _together([check for each in snapshots for check in each.checks], probe=probe)


def _together(checks: Sequence[Check], **about: str) -> Iterator[Check]:
    """Merge checks of several snapshots to one a code and budget, with the detail of the first failure, or the last."""
    for (code, _), several in groupby(sorted(checks, key=_what), key=_what):
        same = list(several)
        told = next((check for check in same if not check.ok), same[-1])
        yield Check(code, told.ok, {**told.detail, **about, "snapshots": len(same)})


def _what(check: Check) -> tuple[str, str]:
    """Return the code and the budget of a check, by which `_together` sorts and groups."""
    return check.code, str(check.detail.get("eps", ""))


# ---- predictors ----------------------------------------------------------------------------------


def _weights(course: Course) -> Measurement:
    """Measure |theta_t - theta_0| / |theta_0| at each snapshot; its value at the end is the scalar."""
    initial = course.at(course.moments[0])
    moved = np.array([float(kernels.weight_distance(course.at(moment), initial)) for moment in course.moments])
    return Measurement((Scalar("weight_distance", float(moved[-1])),), {"weight_distance": moved})


def _accuracy(course: Course, moments: Sequence[Fraction], split: str, view: View, attack: Armed | None) -> Measurement:
    """Count the right answers on a split at some moments; scalars and samples are those of the last moment."""
    found = []
    for moment in moments:
        course.tick(f"accuracy at epoch {moment}, {split}")
        subject = view(course.at(moment))
        attacked = [(attack.threat, craft(attack.threat, subject, key=attack.key))] if attack else []
        found.append((subject, *judge(subject, attacked)))
    subject, clean, verdicts = found[-1]
    scalars = [
        share("accuracy", clean, {"target": subject.name, "split": split}),
        majority_rate(subject.labels, split=split),
    ]
    series = {
        "accuracy_epoch": np.array([float(moment) for moment in moments]),
        f"n_{split}": np.array(clean.size),
        f"{split}_clean": np.array([each.sum() for _, each, _ in found]),
    }
    samples = {"clean": clean}
    for verdict in verdicts:
        counts = [every[0].robust.sum(axis=1) for *_, every in found]
        series |= {"eps": np.array(verdict.threat.radii), f"{split}_robust": np.stack(counts, axis=1)}
        for eps, robust in zip(verdict.threat.eps, verdict.robust, strict=True):
            scalars.append(share("robust_accuracy", robust, {**place(verdict.threat, subject, eps), "split": split}))
            samples[f"{verdict.threat.id}@{eps}"] = robust
    checks = _together([check for *_, every in found for each in every for check in each.checks], split=split)
    return Measurement(tuple(scalars), series, samples if split == "test" else {}, tuple(checks))
