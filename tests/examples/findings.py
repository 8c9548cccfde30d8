"""Records of analyses that have pictures, with arrays of a plausible shape, in a folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ntkbench.analyses.measurement import Scalar
from ntkbench.plan.runs import Run
from ntkbench.results.plots import plot
from ntkbench.results.plots.study import PlottedAnalysis
from ntkbench.run import recording
from ntkbench.store import arrays, record
from ntkbench.store.store import Store
from tests.examples.factory import EPS, a_record, cell, planned, valid

AGAINST = ("depth1", "depth2", "depth3")
ASKED: dict[str, dict[str, Any]] = {
    "eigen": {"kind": "eigenspace", "target": "limit", "attack": "ntk"},
    "time": {"kind": "time", "target": "limit", "attack": "ntk"},
    "agree": {"kind": "consistency", "target": "limit", "against": list(AGAINST), "attack": None},
    "certain": {"kind": "certificate", "target": "limit", "eps": list(EPS), "norm": "linf", "attack": "ntk"},
}


def spectrum(n: int) -> np.ndarray:
    values = 4e3 * np.arange(1, n + 1) ** -1.7
    values[1:3] = values[1:3].mean()
    return values


def counts(rng: np.random.Generator, share: np.ndarray, n_test: int) -> np.ndarray:
    return rng.binomial(n_test, np.clip(share, 0, 1))


def eigenspace(
    rng: np.random.Generator, n: int = 60, n_test: int = 200, m: int = 20, shape: Sequence[int] = (4, 4, 1)
) -> dict[str, np.ndarray]:
    """Useful features and robust ones at the top; robustness of what is accumulated falls."""
    feature = np.unique(np.geomspace(1, n, m).round().astype(int)) - 1
    truncation = np.unique(np.geomspace(1, n, 8).round().astype(int))
    strength = np.array([1.0, 2.5])[:, None]
    rho = 0.5 + 0.2 * np.exp(-feature / 10)
    gamma = rho * np.exp(-strength * np.log1p(feature) / 4)
    every = np.arange(1, n + 1)
    clean = 0.5 + 0.37 * (1 - np.exp(-np.log1p(every)))
    tail = np.where(truncation < n, 0.7 - 0.2 * truncation / n, 0)
    eigenvalue = spectrum(n)
    useful = counts(rng, rho, n_test) > 0.56 * n_test
    robust = counts(rng, gamma, n_test)
    return {
        "eps": np.array([2 / 255, 8 / 255]),
        "eigenvalue": eigenvalue,
        "feature": feature,
        "feature_clean": counts(rng, rho, n_test),
        "feature_robust": robust,
        "feature_useful": useful,
        "feature_tested_robust": useful & (robust > 0.56 * n_test),
        "cumulative_clean": counts(rng, clean, n_test),
        "truncation": truncation,
        "truncation_clean": counts(rng, clean[truncation - 1], n_test),
        "truncation_robust": counts(rng, clean[truncation - 1] * np.exp(-strength * truncation / n), n_test),
        "tail_clean": counts(rng, tail, n_test),
        "tail_robust": counts(rng, tail * np.exp(-strength), n_test),
        "small_gap": np.diff(eigenvalue) / eigenvalue[:-1] > -1e-3,
        "majority": np.array(n_test // 2),
        "n_test": np.array(n_test),
        "picture_feature": feature[:3],
        "picture_test": np.array([0, 1]),
        "picture_image": rng.random((2, *shape), np.float32),
        "picture_gradient": rng.normal(size=(3, 2, *shape)).astype(np.float32),
        "picture_group": np.array([[0, n // 2], [n // 2, n]]),
        "picture_group_gradient": rng.normal(size=(2, 2, *shape)).astype(np.float32),
    }


def time(rng: np.random.Generator, n: int = 60, n_test: int = 200) -> dict[str, np.ndarray]:
    eigenvalue = spectrum(n)
    times = np.append(np.geomspace(0.1 / eigenvalue[0], 10 / eigenvalue[-1], 12), np.inf)
    ridges = np.append(0.0, np.geomspace(eigenvalue[-1] / 10, 10 * eigenvalue[0], 12))
    learned = 0.5 + 0.37 * np.linspace(0, 1, 13)
    fragile = learned * np.exp(-np.array([0.3, 2.0])[:, None] * np.linspace(0, 1, 13))
    return {
        "eps": np.array([2 / 255, 8 / 255]),
        "n_test": np.array(n_test),
        "time": times,
        "time_clean": counts(rng, learned, n_test),
        "time_robust": counts(rng, fragile, n_test),
        "ridge": ridges,
        "ridge_clean": counts(rng, learned[::-1], n_test),
        "ridge_robust": counts(rng, fragile[:, ::-1], n_test),
        "eigenvalue": eigenvalue,
    }


def consistency(rng: np.random.Generator, m: int = 12, top: Sequence[int] = (1, 5, 10, 20)) -> dict[str, np.ndarray]:
    overlap = np.clip(0.97 - 0.1 * rng.random((len(AGAINST), len(top))) * np.arange(1, len(top) + 1), 0, 1)
    return {
        "top": np.array(top),
        "overlap": overlap,
        "angle": np.degrees(np.arccos(np.sqrt(overlap))),
        "linear_rank": np.array(15),
        "linear_overlap": np.where(np.array(top) > 15, np.nan, rng.random((1 + len(AGAINST), len(top)))),
        "linear_angle": np.where(np.array(top) > 15, np.nan, 90 * rng.random((1 + len(AGAINST), len(top)))),
        "gradient_cosine": np.clip(1 - 0.05 * np.arange(m) - 0.1 * rng.random((len(AGAINST), m)), 0, 1),
        "feature": np.arange(m),
        "usefulness": rng.integers(80, 150, (1 + len(AGAINST), m)),
        "n_test": np.array(200),
    }


def certificate(rng: np.random.Generator, n_test: int = 200) -> dict[str, np.ndarray]:
    """What is certified falls below what an attack leaves."""
    robust = np.array([150, 40]) + rng.integers(0, 10, 2)
    return {
        "eps": np.array([2 / 255, 8 / 255]),
        "n_test": np.array(n_test),
        "clean": np.array(170),
        "certified": robust - np.array([5, 30]),
        "robust": robust,
    }


SERIES = {"eigen": eigenspace, "time": time, "agree": consistency, "certain": certificate}


def store(folder: Path, runs: Sequence[Run], **series: Mapping[str, np.ndarray]) -> list[record.Record]:
    """Write a record of each run with the three analyses; `series` replaces those of one."""
    folder.mkdir(parents=True, exist_ok=True)
    for run in runs:
        rng = np.random.default_rng(run.seed + sum(map(ord, run.id)))
        found = {id: series.get(id) or make(rng) for id, make in SERIES.items()}
        flat = {f"{id}.{name}": values for id, part in found.items() for name, values in part.items()}
        _, notes = arrays.write(folder / f"{run.id}.npz", {}, flat)
        written = a_record(run, series=notes)
        written["spec"]["resolved"] |= {"analyses": ASKED}
        where = {"target": "limit", "attack": "ntk", "source": "limit", "eps": EPS[0]}
        row = recording.metric_row("eigen", Scalar.share("accuracy", 100, 200, where))
        written["metrics"] = [
            row.model_dump() | {"metric": "k90", "value": 12.0, "k": None, "n": None, "unit": "features"}
        ]
        record.write(valid(written), folder / f"{run.id}.json")
    return [record.read(folder / f"{run.id}.json") for run in runs]


def depths(*depths: int, seeds: Sequence[int] = (0,)) -> list[Run]:
    """Runs of a matrix over the depth."""
    return [
        run
        for depth in depths
        for run in planned(
            cell(architecture={"kind": "fc", "depth": depth}), seeds, **{"architecture.depth": str(depth)}
        )
    ]


def studies(folder: Path, runs: Sequence[Run], **series: Mapping[str, np.ndarray]) -> dict[str, PlottedAnalysis]:
    """The analyses of everything in a store after these runs were added to it."""
    store(folder / "records", runs, **series)
    (results,) = plot.results_of_store(Store(folder))
    return {study.analysis: study for study in plot.plotted_analyses([results], folder / "records")}
