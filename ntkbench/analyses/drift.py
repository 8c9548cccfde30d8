"""Standard metric 3: measure how the empirical kernel of a network moves along its training, on a fixed probe.

    measurement = drift(trajectory, {"test": view}, attack=SeededAttack(threat, key))

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

from ntkbench.analyses.accuracy import judge, labels_of, majority_rate, share
from ntkbench.analyses.crafting import craft
from ntkbench.analyses.measurement import Check, Measurement, Scalar
from ntkbench.analyses.trajectory import SeededAttack, Snapshot, Trajectory, View, follow
from ntkbench.budgets import column
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
    trajectory: Trajectory,
    judged: Mapping[str, View],
    *,
    attack: SeededAttack | None = None,
    adversary: SeededAttack | None = None,
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
    common = {"epoch": trajectory.epochs, "horizon": trajectory.epochs[1:], "top": np.array(trajectory.top)}
    parts = [Measurement(series=common), _kernels(trajectory)]
    if adversary:
        parts.append(_kernels(trajectory, adversary))
    moments = [trajectory.moments[i] for i in at or range(len(trajectory.moments))]
    parts += [
        _weights(trajectory),
        *(_accuracy(trajectory, moments, split, view, attack) for split, view in judged.items()),
    ]
    return Measurement(
        tuple(scalar for part in parts for scalar in part.scalars),
        {name: values for part in parts for name, values in part.series.items()},
        {name: values for part in parts for name, values in part.samples.items()},
        tuple(check for part in parts for check in part.checks),
    )


# ---- kernels -------------------------------------------------------------------------------------


def _kernels(trajectory: Trajectory, adversary: SeededAttack | None = None) -> Measurement:
    """Measure the kernels on one probe; series of the adversarial one begin with `adversarial_`."""
    snapshots, products = follow(trajectory, adversary)
    distances = kernels.distances(products)
    probe = "adversarial" if adversary else "clean"
    series = {**_paths(trajectory, snapshots, products, distances), **_kernel_series(trajectory, snapshots)}
    scalars = (
        *_path_metrics(trajectory, distances, {"probe": probe}),
        *_end_metrics(trajectory, snapshots, series, {"probe": probe}),
    )
    found = _checks(trajectory, snapshots, probe, distances)
    prefix = "adversarial_" if adversary else ""
    return Measurement(scalars, {prefix + name: values for name, values in series.items()}, checks=tuple(found))


def _paths(trajectory, snapshots, products, distances) -> dict[str, np.ndarray]:
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
        "velocity": kernels.velocities(distances, trajectory.epochs),
        "onset_by_horizon": kernels.by_horizon(kernels.lazy_onset, distances, trajectory.epochs),
        "nearness_by_horizon": kernels.by_horizon(kernels.nearness_onset, distances, trajectory.epochs),
        **{f"{part}radius": radius for part, (radius, _) in curves.items()},
        **{f"{part}angle": angle for part, (_, angle) in curves.items()},
    }


def _kernel_series(trajectory, snapshots) -> dict[str, np.ndarray]:
    """Return the series that look at one kernel at a time: top mass, ranks, alignment, and the kernels to be kept."""
    values = np.stack([each.eigenvalues for each in snapshots])
    found = {
        "top_mass": np.array([kernels.top_mass(values, k) for k in trajectory.top]).reshape(
            len(trajectory.top), len(values)
        ),
        **{name: rank(values) for name, rank in _RANKS.items()},
        "label_alignment": np.array([each.alignment for each in snapshots]),
    }
    if snapshots[0].specialization is not None:
        found["class_specialization"] = np.array([each.specialization for each in snapshots])
    if trajectory.kept:
        found["kernel"] = np.stack([each.kernel for each in snapshots if each.kernel is not None])
        found["kernel_epoch"] = trajectory.epochs[sorted(trajectory.kept)]
    return found


def _path_metrics(trajectory, distances, where) -> Iterator[Scalar]:
    """Yield kernel drift D(K_0, K_T), path length, and lazy onset."""
    whole, onset = float(distances[0, -1]), kernels.lazy_onset(distances, trajectory.epochs)
    yield Scalar("kernel_drift", whole, where)
    yield Scalar("path_length", kernels.path_length(distances), where)
    yield Scalar("lazy_onset", onset, where, reason=None if onset is not None else _no_onset(trajectory, distances))


def _no_onset(trajectory, distances) -> str:
    """Return why `lazy_onset` has no value."""
    if not kernels.moves(distances):
        return f"the kernel does not move: no two snapshots are more than {float(distances.max()):.1e} apart"
    return f"the kernel is still fast at the end, epoch {trajectory.moments[-1]}: the training is too short to tell"


def _end_metrics(trajectory, snapshots, series, where) -> Iterator[Scalar]:
    """Yield the metrics of single kernels at init and at the end of the training.

    Alignments are undefined where features are finite and the same for all examples, as those of saturated units are.
    """
    for at, i in (("init", 0), ("final", -1)):
        for k, mass in zip(trajectory.top, series["top_mass"], strict=True):
            yield Scalar("top_mass", float(mass[i]), {**where, "top": k, "at": at})
        for metric in _RANKS:
            yield Scalar(metric, float(series[metric][i]), {**where, "at": at})
        for metric in ("label_alignment", "class_specialization"):
            if metric in series:
                value = float(series[metric][i])
                constant = snapshots[i].finite and np.isnan(value)
                reason = "the kernel of an output is constant over the probe" if constant else None
                yield Scalar(metric, None if constant else value, {**where, "at": at}, reason=reason)


def _checks(trajectory, snapshots: Sequence[Snapshot], probe: str, distances) -> Iterator[Check]:
    """Yield whether kernels are finite, the probe is balanced, and the kernel of a linearized network stays constant.

    The last two are asked of the clean probe alone: an adversarial one changes the kernel by its images.
    """
    lost = sum(not each.finite for each in snapshots)
    yield Check("kernel_finite", lost == 0, {"probe": probe, "not_finite": lost, "snapshots": len(snapshots)})
    if probe == "clean":
        counts = np.unique(trajectory.targets, axis=0, return_counts=True)[1]
        yield Check("probe_balanced", bool(np.ptp(counts) == 0), {"classes": len(counts), "fewest": int(counts.min())})
        if trajectory.linear_from is not None:
            since = np.flatnonzero(trajectory.epochs >= float(trajectory.linear_from))
            largest = float(distances[np.ix_(since, since)].max())
            yield Check("kernel_constant", largest < CONSTANT, {"largest": largest, "snapshots": len(since)})
    yield from _grouped([check for each in snapshots for check in each.checks], probe=probe)


def _grouped(checks: Sequence[Check], **about: str) -> Iterator[Check]:
    """Merge checks of several snapshots to one a code and budget, with the detail of the first failure, or the last."""
    for (code, _), several in groupby(sorted(checks, key=_what), key=_what):
        same = list(several)
        told = next((check for check in same if not check.ok), same[-1])
        yield Check(code, told.ok, {**told.detail, **about, "snapshots": len(same)})


def _what(check: Check) -> tuple[str, str]:
    """Return the code and the budget of a check, by which `_together` sorts and groups."""
    return check.code, str(check.detail.get("eps", ""))


# ---- predictors ----------------------------------------------------------------------------------


def _weights(trajectory: Trajectory) -> Measurement:
    """Measure |theta_t - theta_0| / |theta_0| at each snapshot; its value at the end is the scalar."""
    initial = trajectory.predictor_at(trajectory.moments[0])
    moved = np.array(
        [float(kernels.weight_distance(trajectory.predictor_at(moment), initial)) for moment in trajectory.moments]
    )
    return Measurement((Scalar("weight_distance", float(moved[-1])),), {"weight_distance": moved})


def _accuracy(
    trajectory: Trajectory, moments: Sequence[Fraction], split: str, view: View, attack: SeededAttack | None
) -> Measurement:
    """Count the right answers on a split at some moments; scalars and samples are those of the last moment."""
    found = []
    for moment in moments:
        trajectory.tick(f"accuracy at epoch {moment}, {split}")
        evaluator = view(trajectory.predictor_at(moment))
        attacked = [(attack.threat, craft(attack.threat, evaluator, key=attack.key))] if attack else []
        found.append((evaluator, *judge(evaluator, attacked)))
    evaluator, clean, verdicts = found[-1]
    scalars = [
        share("accuracy", clean, {"target": evaluator.name, "split": split}),
        majority_rate(evaluator.labels, split=split),
    ]
    series = {
        "accuracy_epoch": np.array([float(moment) for moment in moments]),
        f"n_{split}": np.array(clean.size),
        f"{split}_clean": np.array([each.sum() for _, each, _ in found]),
    }
    samples = {"clean": clean}
    for verdict in verdicts:
        counts = [every[0].robust.sum(axis=1) for *_, every in found]
        series |= {"eps": verdict.threat.radii, f"{split}_robust": np.stack(counts, axis=1)}
        for budget, robust in zip(verdict.threat.budgets, verdict.robust, strict=True):
            scalars.append(
                share("robust_accuracy", robust, {**labels_of(verdict.threat, evaluator, budget), "split": split})
            )
            samples[column(verdict.threat.id, budget)] = robust
    checks = _grouped([check for *_, every in found for each in every for check in each.checks], split=split)
    return Measurement(tuple(scalars), series, samples if split == "test" else {}, tuple(checks))
