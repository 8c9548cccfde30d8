"""Kernels against neural-tangents: both sides read the same arrays and take turns, in one run.

    python benchmarks/kernels.py [CASE ...] [--peer PYTHON] [--repeats 3] [--dtype float32] [--json FILE]

Without a peer it times ours alone. README.md says what is measured.
"""

import argparse
import dataclasses
import datetime
import json
import os
import platform
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from cases import CASES, Case, arrays, difference
from sides import Limits, Side, Trial, memory_of_the_machine, neural_tangents, ours

Report = dict[str, Any]

AGREEMENT = {"float32": 1e-3, "float64": 1e-7}
"""relative: with the peer, and of float32 with float64"""

HEADER = (
    "| case | ours: warm, best (median) | first | memory (process) "
    "| peer: warm, best (median) | first | memory (process) "
    "| peer / ours: warm | compile | memory | largest difference | error of float32 |"
)


def measure(case: Case, sides: list[Side], options: argparse.Namespace) -> Report:
    """One case on all sides: a first run each, then warm runs in turns; then ours once in float64, to judge float32."""
    shown = case.tiny() if options.tiny else case
    inputs = arrays(shown, options.dtype)
    load = os.getloadavg()[0]
    limits = Limits(options.max_seconds, options.max_memory * 1e9)
    tiny = ["tiny"] * options.tiny
    with tempfile.TemporaryDirectory() as folder:
        file = _save(inputs, Path(folder, "inputs.npz"))
        with ExitStack() as stack:
            # The harness runs with x64 whatever a kernel's precision is; the peer has it off unless it is needed.
            trials = [
                stack.enter_context(Trial(side, [case.name, file, *tiny], side == ours() or is_double(inputs), limits))
                for side in sides
            ]
            for _ in range(1 + options.repeats):
                for trial in trials:
                    trial.time()
            results = [trial.result(Path(folder, f"{trial.name}.npy")) for trial in trials]
        exact = None
        if not is_double(inputs) and not options.no_error:
            file = _save({k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in inputs.items()}, Path(file))
            with Trial(ours(), [case.name, file, *tiny], True, limits) as trial:
                trial.time()
                exact = trial.result(Path(folder, "exact.npy"))

    def apart(two: np.ndarray | None) -> float | None:
        return None if results[0] is None or two is None else difference(shown, results[0], two, inputs.get("labels"))

    return {
        "case": shown.name,
        "description": dataclasses.asdict(shown),
        "dtype": options.dtype,
        "load_before": load,
        **{key: trial.report() for key, trial in zip(("ours", "peer"), trials, strict=False)},
        "difference": apart(results[1]) if len(results) > 1 else None,
        "float32_error": apart(exact),
    }


def _save(inputs: dict[str, np.ndarray], file: Path) -> str:
    np.savez(file, **inputs)  # pyright: ignore[reportArgumentType] (its stub forgets the names)
    return str(file)


def is_double(inputs: dict[str, np.ndarray]) -> bool:
    return inputs["X"].dtype == np.float64


def row(report: Report) -> str:
    """Of the table."""
    one, two = report["ours"], report.get("peer")
    cells = [report["case"], *_side(one), *(_side(two) if two else ["-"] * 3)]
    cells += [_ratio(two, one, key) for key in ("best", "compile", "own_bytes")]
    cells += ["-" if report[key] is None else f"{report[key]:.1e}" for key in ("difference", "float32_error")]
    return f"| {' | '.join(cells)} |"


def _side(report: Report) -> list[str]:
    if report["best"] is None:
        return [report["stopped"] or "-", "-", "-"]
    stopped = f"; then {report['stopped']}" if report["stopped"] else ""
    return [
        f"{_seconds(report['best'])} ({_seconds(report['median'])}){stopped}",
        _seconds(report["first"]),
        f"{report['own_bytes'] / 1e9:.3f} GB ({report['peak_bytes'] / 1e9:.2f})",
    ]


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def _ratio(two: Report | None, one: Report, key: str) -> str:
    if two is None or not two[key] or not one[key]:
        return "-"
    return f"{two[key] / one[key]:.2f}"


def machine(reports: list[Report]) -> Report:
    """What the numbers hold for."""
    return {
        "date": datetime.date.today().isoformat(),
        "cores": os.cpu_count(),
        "memory_bytes": memory_of_the_machine(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{key: next((r[key]["versions"] for r in reports if key in r), None) for key in ("ours", "peer")},
        "backend": next((r["ours"]["backend"] for r in reports), None),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"all by default: {', '.join(CASES)}")
    parser.add_argument("--peer", metavar="PYTHON", help="the python that peers/environment.py made")
    parser.add_argument("--repeats", type=int, default=3, help="warm runs of each side (3)")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write all of it; floor.py reads it")
    parser.add_argument("--tiny", action="store_true", help="few images: whether both sides agree")
    parser.add_argument("--no-error", action="store_true", help="leave out the run in float64 that judges float32")
    parser.add_argument("--max-seconds", type=float, default=900, help="that one run may take (900)")
    memory = 0.8 * memory_of_the_machine() / 1e9
    parser.add_argument("--max-memory", type=float, default=memory, metavar="GB", help=f"of a process ({memory:.1f})")
    options = parser.parse_args()
    if unknown := [name for name in options.cases if name not in CASES]:
        parser.error(f"no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    if options.repeats < 1:
        parser.error("--repeats: at least 1")
    if options.peer and not shutil.which(options.peer):
        parser.error(f"--peer {options.peer}: no such program; peers/environment.py makes one and prints its path")
    sides = [ours()] + ([neural_tangents(options.peer)] if options.peer else [])

    reports: list[Report] = []
    print(HEADER, "|" + "---|" * (HEADER.count("|") - 1), sep="\n", flush=True)
    for name in options.cases or CASES:
        reports.append(measure(CASES[name], sides, options))
        print(row(reports[-1]), flush=True)
        if options.json:
            options.json.write_text(json.dumps({"machine": machine(reports), "cases": reports}, indent=1) + "\n")
    print("\n" + ", ".join(f"{key}: {value}" for key, value in machine(reports).items() if value), file=sys.stderr)
    most = AGREEMENT[options.dtype]
    if apart := [r["case"] for r in reports if max(r["difference"] or 0, r["float32_error"] or 0) > most]:
        sys.exit(f"results differ by more than {most}: {', '.join(apart)}")


if __name__ == "__main__":
    main()
