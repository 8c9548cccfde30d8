"""Plans and records of small experiments, with outcomes that were chosen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic_core import to_jsonable_python

from ntkbench import documents
from ntkbench.analyses.measurement import Scalar
from ntkbench.plan.runs import Run
from ntkbench.run import recording
from ntkbench.spec.cell import Cell
from ntkbench.spec.identity import resolved, run_id
from ntkbench.store import arrays, record

EPS = ("2/255", "8/255")
SOURCES = {"ntk": "limit", "own": "self", "noise": "none"}


def cell(**changes: Any) -> Cell:
    """A transfer experiment; `changes` replace whole sections."""
    sections: dict[str, Any] = {
        "data": {"dataset": "fashion_mnist_mini", "classes": ["sneaker", "ankle_boot"], "n_train": 100, "n_test": 20},
        "architecture": {"kind": "fc", "depth": 1},
        "width": 32,
        "training": {"mode": "standard", "epochs": 10},
        "kernels": {"limit": {"kind": "infinite"}},
        "attacks": {
            "ntk": {"kind": "fgsm", "source": "limit", "eps": list(EPS)},
            "own": {"kind": "fgsm", "eps": list(EPS)},
            "noise": {"kind": "random_sign", "eps": list(EPS)},
        },
        "analyses": {"transfer": {"kind": "transfer", "attack": "ntk", "ceiling": "own", "floor": "noise"}},
    }
    return Cell.model_validate(sections | changes)


def planned(of: Cell, seeds: Sequence[int], **coordinates: str) -> list[Run]:
    return [Run(f"synthetic/{seed}", of, coordinates, seed, run_id(of, seed)) for seed in seeds]


def outcomes(rng: np.random.Generator, n: int = 20, rate: float = 0.5, clean: float = 0.9) -> dict[str, np.ndarray]:
    """Columns of the samples: right on the clean image, and right under each attack at each budget."""
    columns = {"clean": rng.random(n) < clean}
    columns["clean"][0] = True
    for attack, strength in (("ntk", rate), ("own", 1.0), ("noise", 0.0)):
        wrong = rng.random(n) < strength
        columns |= {f"{attack}@{eps}": columns["clean"] & ~wrong for eps in EPS}
    return columns


def scalars(columns: Mapping[str, np.ndarray]) -> list[Scalar]:
    """What the transfer analysis counts in them."""
    clean = columns["clean"]
    found = [Scalar.share("accuracy", int(clean.sum()), len(clean), {"target": "self"})]
    for attack, source in SOURCES.items():
        for eps in EPS:
            where = {"target": "self", "attack": attack, "source": source, "eps": eps}
            right = columns[f"{attack}@{eps}"]
            fooled = int(np.sum(clean & ~right))
            found += [
                Scalar.share("robust_accuracy", int(right.sum()), len(right), where),
                Scalar.share("transfer_rate", fooled, int(clean.sum()), where | {"denominator": "target_correct"}),
            ]
            if attack == "ntk":
                found.append(Scalar.share("transfer_rate", fooled, len(clean), where | {"denominator": "all"}))
                found.append(Scalar("normalized_transfer", fooled / int(clean.sum()), where, n=int(clean.sum())))
    return found


def a_record(run: Run, columns: Mapping[str, np.ndarray] | None = None, **changes: Any) -> dict[str, Any]:
    """A valid record of a planned run; without outcomes it has no metrics. `changes` replace fields."""
    rows = [recording.metric_row("transfer", scalar) for scalar in scalars(columns)] if columns else []
    value = {
        "schema": "ntkbench.record/1",
        "run_id": run.id,
        "status": "ok",
        "attempt": 1,
        "spec": {
            "name": "synthetic",
            "cell": dict(run.coordinates),
            "seed": run.seed,
            "resolved": resolved(run.cell),
        },
        "metrics": rows,
        "series": {},
        "samples": None,
        "checks": [{"code": "eps0_equals_clean", "ok": True, "analysis": "transfer", "detail": {"attack": "ntk"}}],
        "stages": {"training": {"key": "t0", "cached": False, "compile_s": 4.1, "run_s": 61.0}},
        "software": {"ntkbench": "0.1.0", "dirty": False},
        "jax": {"backend": "cpu", "x64": True},
        "device": {"kind": "cpu", "count": 1},
        "execution": {"smoke": False, "tile_bytes": 512e6},
        "resources": {"wall_s": 71.3},
        "time": {"started": "2025-01-01T00:00:00Z", "ended": "2025-01-01T00:01:11.3Z"},
        "warnings": [],
        "error": None,
    }
    return to_jsonable_python(value | changes)


def valid(document: Mapping[str, Any]) -> record.Record:
    return documents.accept(record.Record, to_jsonable_python(document), "record")


def failed(run: Run, status: str = "failed") -> dict[str, Any]:
    return a_record(run, status=status, error={"type": "NumericsError", "message": "the loss is NaN"})


def store(folder: Path, runs: Sequence[Run], rate: float = 0.5, **changes: Any) -> list[record.Record]:
    """Write the records of the runs with their outcomes, seeded by their seeds; returns them as read back."""
    for run in runs:
        columns = outcomes(np.random.default_rng([run.seed, int(100 * rate)]), rate=rate)
        samples = {"index": np.arange(len(columns["clean"]))}
        samples |= {arrays.column("transfer", name): values for name, values in columns.items()}
        note, _ = arrays.write(folder / f"{run.id}.npz", samples, {})
        record.write(valid(a_record(run, columns, samples=note, **changes)), folder / f"{run.id}.json")
    return [record.read(folder / f"{run.id}.json") for run in runs]
