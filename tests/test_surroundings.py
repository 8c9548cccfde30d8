"""What people have around the command line: homes, variables, terminals, notebooks, spreadsheets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ntkbench.cli.main import main
from ntkbench.errors import UsageError
from ntkbench.run import environment
from ntkbench.run.executors import pool
from ntkbench.store.store import Store
from ntkbench.text import escape_unencodable
from tests.examples import factory, tiny

SPECS = Path(__file__).parent / "faults" / "specs"


def told(*arguments: object, code: int = 0, **variables: str) -> tuple[str, str]:
    """Output and errors of `python -m ntkbench` as a process of its own, in these surroundings."""
    words = [sys.executable, "-m", "ntkbench", *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, env={**os.environ, **variables})
    assert done.returncode == code, done.stderr
    return done.stdout.decode("latin-1"), done.stderr.decode("latin-1")


@pytest.mark.parametrize("way", ["option", "variable"])
def test_a_tilde_is_the_home(way: str, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if way == "variable":
        monkeypatch.setenv("NTKBENCH_STORE", "~/runs")
    with pytest.raises(SystemExit) as end:
        main(["run", str(tiny.spec(tmp_path)), *(["--store=~/runs"] if way == "option" else [])])
    assert end.value.code == 0, capsys.readouterr()
    assert (tmp_path / "home" / "runs" / "records").is_dir()
    assert not (tmp_path / "~").exists()


def test_a_tilde_without_a_home_is_a_mistake(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.raises(SystemExit) as end:
        main(["plan", str(tiny.spec(tmp_path)), "--store=~/runs"])
    assert end.value.code == 2
    assert "write the whole path" in capsys.readouterr().err


def test_a_terminal_of_few_letters_shows_what_it_can(tmp_path: Path):
    out, _ = told("show", SPECS / "tiny.yaml", "--store", tmp_path, PYTHONIOENCODING="latin-1")
    assert "- (0/1)" in out
    assert "mean ± standard deviation" in out


def test_letters_that_are_not_there_are_told_by_number():
    error = UnicodeEncodeError("ascii", "a – 学", 2, 5, "not there")
    assert escape_unencodable(error) == ("- \\u5b66", 5)


def test_a_notebook_s_pictures_are_no_matter(tmp_path: Path):
    factory.store(tmp_path / "records", factory.planned(factory.cell(), range(2)))
    told("plot", "--store", tmp_path, "-o", tmp_path / "p", MPLBACKEND="module://matplotlib_inline.backend_inline_x")
    assert list((tmp_path / "p").glob("*.png"))


def test_a_report_makes_its_folder(tmp_path: Path, capsys):
    spec = tiny.spec(tmp_path)
    tiny.run(tiny.planned(tmp_path), Store(tmp_path / "runs"))
    page = tmp_path / "new" / "folder" / "report.html"
    with pytest.raises(SystemExit) as end:
        main(["report", str(spec), "--store", str(tmp_path / "runs"), "-o", str(page)])
    assert not end.value.code, capsys.readouterr()
    assert page.is_file()


def test_a_device_that_is_not_there_is_told_with_what_to_do(monkeypatch):
    def none() -> None:
        raise AssertionError

    monkeypatch.setattr("jax.local_devices", none)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(UsageError, match=r"JAX_PLATFORMS=cuda: no such device, .*Unset JAX_PLATFORMS"):
        environment.require_device()


@pytest.mark.parametrize(("plugin", "platforms"), [(False, ""), (True, "cpu")])
def test_accelerators_that_jax_does_not_see_count_for_none(plugin: bool, platforms: str, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.setattr(pool, "_has_plugin", lambda: plugin)
    assert pool.accelerators() == []


@pytest.mark.parametrize("field", ["W_std", "b_std"])
def test_a_scale_that_squares_to_infinity_is_a_mistake_at_its_place(field: str, tmp_path: Path, capsys):
    spec = tiny.spec(tmp_path, tiny.SPEC.replace("depth: 1}", f"depth: 1, {field}: 1e160}}"))
    with pytest.raises(SystemExit) as end:
        main(["validate", str(spec)])
    assert end.value.code == 2
    wanted = {"W_std": "from 10^-6 to 10^6", "b_std": "from 0 to 10^6, or null"}[field]
    expected = f"{spec}:5:43: architecture.{field}: expected a number {wanted}, found 1e+160\n"
    assert capsys.readouterr().err == expected


def test_kinds_are_listed_without_docstrings():
    out, _ = told("list", "attacks", PYTHONOPTIMIZE="2")
    assert "fgsm" in out


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_data_that_are_not_here_are_told_before_they_are_needed(command: str, tmp_path: Path, monkeypatch, capsys):
    for variable in ("HOME", "XDG_CACHE_HOME", "NTKBENCH_DATA"):
        monkeypatch.setenv(variable, str(tmp_path))
    text = (SPECS / "tiny.yaml").read_text().replace("fashion_mnist_mini", "fashion_mnist")
    with pytest.raises(SystemExit) as end:
        main([command, str(tiny.spec(tmp_path, text))])
    assert not end.value.code
    told = capsys.readouterr().err
    assert told.startswith("warning: the data set fashion_mnist is not on this machine; `ntkbench data fetch")
