"""Infinite-width kernels against neural-tangents: both sides read the same arrays and take turns, in one run.

    python benchmarks/infinite.py [CASE ...] [--peer PYTHON] [--repeats 3] [--dtype float32] [--json FILE]

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
"""relative; the peer's own round-off decides"""

HEADER = (
    "| case | ours: warm, best (median) | first | memory (process) "
    "| peer: warm, best (median) | first | memory (process) "
    "| peer / ours: warm | compile | memory | largest difference |"
)


def measure(case: Case, sides: list[Side], options: argparse.Namespace) -> Report:
    """One case on all sides: a first run each, then warm runs in turns."""
    shown = case.tiny() if options.tiny else case
    inputs = arrays(shown, options.dtype)
    load = os.getloadavg()[0]
    limits = Limits(options.max_seconds, options.max_memory * 1e9)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        np.savez(Path(folder, "inputs.npz"), **inputs)  # pyright: ignore[reportArgumentType] (its stub forgets the names)
        arguments = [case.name, str(Path(folder, "inputs.npz")), *["tiny"] * options.tiny]
        # The harness runs with x64 whatever a kernel's precision is; the peer has it off unless it is needed.
        trials = [
            stack.enter_context(Trial(side, arguments, side.module == "ours" or options.dtype == "float64", limits))
            for side in sides
        ]
        for _ in range(1 + options.repeats):
            for trial in trials:
                trial.time()
        results = [trial.result(Path(folder, f"{trial.name}.npy")) for trial in trials]
    reports = {key: trial.report() for key, trial in zip(("ours", "peer"), trials, strict=False)}
    found = [array for array in results if array is not None]
    return {
        "case": shown.name,
        "description": dataclasses.asdict(shown),
        "dtype": options.dtype,
        "load_before": load,
        **reports,
        "difference": difference(shown, found[0], found[1], inputs.get("labels")) if len(found) == 2 else None,
    }


def row(report: Report) -> str:
    """Of the table."""
    one, two = report["ours"], report.get("peer")
    cells = [report["case"], *_side(one), *(_side(two) if two else ["-"] * 3)]
    cells += [_ratio(two, one, key) for key in ("best", "compile", "own_bytes")]
    cells += ["-" if report["difference"] is None else f"{report['difference']:.1e}"]
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
    parser.add_argument("--tiny", action="store_true", help="small sizes: whether both sides agree")
    parser.add_argument("--max-seconds", type=float, default=900, help="that one run may take (900)")
    most = 0.8 * memory_of_the_machine() / 1e9
    parser.add_argument("--max-memory", type=float, default=most, metavar="GB", help=f"of a process ({most:.1f})")
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
    if apart := [r["case"] for r in reports if (r["difference"] or 0) > AGREEMENT[options.dtype]]:
        sys.exit(f"the two sides differ by more than {AGREEMENT[options.dtype]}: {', '.join(apart)}")


if __name__ == "__main__":
    main()
