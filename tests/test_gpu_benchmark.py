"""`benchmarks/gpu.py` on a CPU, with few images: every part has its results, and the budget holds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"
PARTS = {"correct", "kernels", "whole", "training", "largest"}


def told(tmp_path: Path, *options: str) -> tuple[list[dict], str]:
    """Return the rows of the JSON file, and what was printed."""
    file = tmp_path / "gpu.json"
    command = [sys.executable, str(SCRIPT), "--tiny", "--json", str(file), *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(file.read_text())["rows"], done.stdout


def test_every_part_has_its_results(tmp_path: Path):
    rows, printed = told(tmp_path)
    assert {row["part"] for row in rows} == PARTS
    assert not [row for row in rows if "note" in row]
    assert {row["verdict"] for row in rows if "verdict" in row} == {"agrees"}
    assert all(row["residual"] < 1e-10 for row in rows if "residual" in row)
    assert printed.count("| part | what | result |") == 1
    assert printed.count("whole: FGSM") == 1


@pytest.mark.slow
def test_without_time_everything_is_left_out(tmp_path: Path):
    rows, _ = told(tmp_path, "--minutes", "0")
    assert {row["note"].partition(":")[0] for row in rows if "TFLOP_s" not in row} == {"left out"}
