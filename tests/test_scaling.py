"""The array job in docs, as a scheduler would run it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ntkbench.plan.read import read
from ntkbench.store.store import Store
from tests.examples import tiny

SCRIPT = Path(__file__).parent.parent / "docs" / "examples" / "array.sbatch"
TEXT = tiny.SPEC + "\nmatrix: {width: [8, 9, 10, 11]}\n"
TASKS = 3


def task(number: int, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As SLURM starts it: a copy of the script somewhere else, in the folder of the submission."""
    variables = {"SLURM_ARRAY_TASK_ID": number, "SLURM_ARRAY_TASK_MIN": 4, "SLURM_ARRAY_TASK_COUNT": TASKS}
    environment = {name: value for name, value in os.environ.items() if name != "NTKBENCH_STORE"}
    environment |= {name: str(value) for name, value in variables.items()}
    environment |= {"SLURM_SUBMIT_DIR": str(folder), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_what_the_scheduler_is_told():
    told = re.findall(r"^#SBATCH (--[a-z-]+)=?(.*)$", SCRIPT.read_text("utf-8"), flags=re.MULTILINE)
    assert {"--array", "--signal", "--requeue"} <= {name for name, _ in told}
    assert dict(told)["--signal"].startswith("B:TERM"), "to the shell, which has become ntkbench"


def test_a_task_without_a_spec_says_how(tmp_path: Path):
    done = task(4, tmp_path)
    assert done.returncode != 0
    assert "sbatch array.sbatch my.yaml" in done.stderr


@pytest.mark.slow
def test_the_tasks_do_the_whole_plan_and_each_run_once(tmp_path: Path):
    spec = tiny.spec(tmp_path, TEXT)
    runs, store = read(spec).runs, Store(tmp_path / "runs")
    told = []
    for number in (4, 5, 6):
        done = task(number, tmp_path, spec.name)
        assert done.returncode == 0, done.stderr
        told += re.findall(r"^\[\d+/\d+\] (.*?)  ok", done.stderr, flags=re.MULTILINE)
    assert len(told) == len(set(told)) == len(runs)
    expected = Store(tmp_path / "whole")
    tiny.run(read(spec), expected)
    assert tiny.results(store, runs) == tiny.results(expected, runs)
