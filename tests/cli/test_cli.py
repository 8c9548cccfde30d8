"""Every command: its help, its happy path, its exit codes, and words instead of tracebacks."""

import json
import os
import re
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import click
import numpy as np
import pytest

import ntkbench
from ntkbench.boards.entry import EntryCell, summarize
from ntkbench.boards.tracks import track
from ntkbench.cli.main import cli, main
from ntkbench.cli.options import STAGES, _programs
from ntkbench.plan.read import read
from ntkbench.run import execute as run_execute
from ntkbench.store import arrays, lookup
from ntkbench.store import folder as store_folder
from ntkbench.store.programs import Programs
from ntkbench.store.store import Store
from tests.boards.test_track import written
from tests.examples import factory, tiny
from tests.examples.boards import three
from tests.examples.events import EventFile

QUICKSTART = Path(__file__).parents[2] / "specs" / "quickstart.yaml"
UNTRAINED = """
ntkbench: 1
name: untrained
data: {dataset: {kind: two_gaussians, dim: 6}, n_train: 12, n_test: 10}
architecture: {kind: fc}
kernels: {limit: {kind: infinite}}
attacks: {fgsm: {kind: fgsm, source: limit, eps: 8/255}}
analyses: {accuracy: {kind: accuracy, target: limit, attacks: [fgsm]}}
"""


@pytest.fixture
def call(capsys, tmp_path: Path, monkeypatch):
    """Runs a command in an empty folder: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    for variable in ("NTKBENCH_STORE", "NTKBENCH_DATA"):
        monkeypatch.delenv(variable, raising=False)

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return int(end.value.code or 0), out, err

    return run


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, command in group.commands.items():
        found += commands(command, (*path, name)) if isinstance(command, click.Group) else [(*path, name)]
    return found


@pytest.mark.parametrize("command", [(), ("leaderboard",), ("store",), ("data",), *commands()], ids=" ".join)
def test_every_command_has_help(command: tuple[str, ...], call):
    for flag in ("--help", "-h"):
        code, out, _ = call(*command, flag)
        assert code == 0
        assert out.startswith("Usage: ntkbench")
        assert out.split("\n\n")[1].strip()[-1] == ".", "the docstring says what it does"


def test_the_version_is_told(call):
    assert call("--version") == (0, f"ntkbench, version {ntkbench.__version__}\n", "")


def test_from_a_spec_to_a_table(call, tmp_path: Path, monkeypatch):
    spec = tiny.spec(tmp_path)
    assert call("validate", spec) == (0, f"{spec}: 2 runs\n", "")
    code, table, told = call("run", spec)
    assert code == 0
    assert "| ntk" in table
    assert "(2)" in table
    assert told.splitlines()[0] == "2 runs, of which 0 are done"
    assert [line.split("  ")[1] for line in told.splitlines()[1:]] == ["ok", "ok"]
    assert call("run", spec) == (0, table, "2 runs, of which 2 are done\n")
    assert call("run", spec, "--quiet") == (0, table, "")
    assert call("show", spec) == (0, table, "")
    # After three epochs the networks are not where the kernel is at infinite time: a check says so.
    assert call("status", spec)[1].startswith("2 runs: 2 ok\n2 of 2 runs failed checks")
    code, outlook, _ = call("plan", spec)
    assert code == 0
    assert "runs      2, of which 2 are done" in outlook
    assert "training  2 of 2 in the store" in outlook
    assert outlook.splitlines()[-1].startswith("took      time ")
    code, out, _ = call("show", spec, "--format", "json", "--metric", "accuracy")
    assert code == 0
    assert json.loads(out)
    monkeypatch.setattr("ntkbench.cli.results.is_terminal", lambda: True)
    assert "\\_" in table
    assert "\\_" not in call("show", spec)[1]


def test_runs_are_logged_once_as_their_records_have_them(call, tmp_path: Path, monkeypatch):
    spec = tiny.spec(tmp_path)
    assert call("run", spec, "--log-dir", "logs")[0] == 2
    code, table, _ = call("run", spec, "--log", "tensorboard")
    assert code == 0
    files = {
        path: path.read_bytes() for path in (tmp_path / "runs" / "logs" / "tensorboard" / "tiny").rglob("*tfevents*")
    }
    store = Store(tmp_path / "runs")
    for kept in lookup.records(store, read(spec).runs):
        [path] = [path for path in files if path.name.endswith(kept.run_id)]
        found = EventFile(path)
        losses = [np.float32(loss) for loss in arrays.read_series(store.records, kept, "training.loss")]
        assert found.scalars.pop("training/loss") == list(enumerate(losses, 1))
        assert sorted(value for [(_, value)] in found.scalars.values()) == sorted(
            np.float32(row.value) for row in kept.metrics if row.value is not None
        )
        assert found.params["seed"] == kept.spec.seed
    assert len(files) == 2
    assert call("run", spec, "--log", "tensorboard") == (0, table, "2 runs, of which 2 are done\n")
    assert {path: path.read_bytes() for path in (tmp_path / "runs" / "logs").rglob("*tfevents*")} == files
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "tensorboard").write_text("no folder")
    code, again, told = call("run", spec, "--log", "tensorboard", "--log-dir", "full")
    assert (code, again) == (0, table)
    assert "seed=0 is not logged" in told
    monkeypatch.setitem(sys.modules, "wandb", None)
    code, _, told = call("run", spec, "--store", "other", "--log", "wandb")
    assert (code, told.endswith("pip install 'ntkbench[wandb]'\n")) == (2, True)
    assert not (tmp_path / "other").exists()


def test_from_records_to_pictures(call, tmp_path: Path):
    spec = tiny.spec(tmp_path)
    code, _, told = call("plot", spec)
    assert code == 2
    assert f"`ntkbench run {spec}` makes them" in told
    assert call("run", spec)[0] == 0
    code, out, told = call("plot", spec, "-o", "here", "--format", "pdf")
    assert (code, told) == (0, "")
    assert out.split()[0] == "here/tiny-transfer-rate-eps-8-255.pdf"
    assert all((tmp_path / path).read_bytes().startswith(b"%PDF") for path in out.split())
    assert call("plot", "-o", "here", "--format", "pdf") == (0, out, ""), "all of the store is this spec"
    assert call("plot", "--smoke") == (2, "", "--set and --smoke change a spec: name one\n")


def test_from_records_to_a_report(call, tmp_path: Path):
    spec = tiny.spec(tmp_path)
    code, _, told = call("report", spec)
    assert code == 2
    assert f"`ntkbench run {spec}` makes them" in told
    assert not (tmp_path / "report.html").exists()
    assert call("run", spec)[0] == 0
    assert call("report", spec) == (0, "report.html\n", "")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "2 runs: 2 ok." in page
    assert "<svg" in page
    code, out, told = call("report", spec, "--set", "seeds=3", "-o", "more.html")
    assert (code, out, told) == (0, "more.html\n", "")
    page = (tmp_path / "more.html").read_text("utf-8")
    assert "<strong>Unfinished:</strong> 2 of 3 runs are done" in page
    assert "--set seeds=3" in page


def test_a_plan_before_and_after(call, tmp_path: Path):
    (tmp_path / "untrained.yaml").write_text(UNTRAINED)
    code, out, _ = call("plan", "untrained.yaml", "--store", "kept")
    assert code == 0
    assert "runs      1, of which 0 are done" in out
    assert "kernel    0 of 1 in the store" in out
    assert not (tmp_path / "kept").exists(), "a look leaves no trace"
    assert call("status", "untrained.yaml", "--store", "kept") == (0, "1 runs: 1 not begun\n", "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "kernels.limit.time=3",
            r"the largest step takes about \d.* [GT]B, and there are ",
        ),
        (
            "data.n_test=10",
            r"tiles of kernels take about \d.* [GT]B of the disk of the store, and ",
        ),
    ],
)
def test_a_plan_far_beyond_memory_or_disk_is_refused_with_its_numbers(change: str, said: str, call, tmp_path: Path):
    """The table is printed all the same, and --force accepts it."""
    (tmp_path / "untrained.yaml").write_text(UNTRAINED)
    hopeless = ("plan", "untrained.yaml", "--set", "data.n_train=300000", "--set", change)
    code, out, err = call(*hopeless)
    assert code == 2
    assert "runs      1, of which 0 are done" in out
    assert re.search(said + ".*fewer training examples.*--force", err)
    assert call(*hopeless, "--force")[0] == 0


def test_runs_that_are_not_ok_exit_with_1_and_tell_why(call, tmp_path: Path):
    (tmp_path / "untrained.yaml").write_text(UNTRAINED)
    code, out, err = call("run", "untrained.yaml", "--set", "run.timeout=1e-6")
    assert (code, out) == (1, "no results; `ntkbench status` shows why\n")
    assert "  timeout  " in err
    code, out, _ = call("status", "untrained.yaml")
    assert code == 0
    assert "longer than run.timeout" in out
    assert out.endswith("1 runs: 1 timeout\n")
    assert call("run", "untrained.yaml", "--no-retry")[0] == 1
    assert call("run", "untrained.yaml")[0] == 0


def test_a_data_set_that_is_missing_is_no_result(call, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    text = UNTRAINED.replace("{kind: two_gaussians, dim: 6}", "cifar10").replace(
        "n_train", "classes: [cat, dog], n_train"
    )
    (tmp_path / "missing.yaml").write_text(text)
    (tmp_path / "data" / "cifar-10-batches-bin").mkdir(parents=True)
    code, out, err = call("run", "missing.yaml", "--data-dir", "data")
    assert (code, out) == (1, "")
    assert "data set cifar10 is not on this machine. Looked for" in err
    assert f"in {tmp_path / 'data' / 'cifar-10-batches-bin'}: without data_batch_1.bin" in err
    assert "ntkbench data fetch cifar10" in err
    assert call("status", "missing.yaml")[1] == "1 runs: 1 not begun\n"


WRONG = {
    "no spec": (["run", "nowhere.yaml"], "nowhere.yaml"),
    "a folder for a spec": (["validate", "."], "."),
    "two broken specs": (["validate", "nowhere.yaml", "neither.yaml"], "neither.yaml"),
    "unknown command": (["fly"], "No such command 'fly'"),
    "unknown option": (["plan", "x.yaml", "--fast"], "No such option"),
    "missing argument": (["run"], "Missing argument 'SPEC'"),
    "no such override": (["validate", "tiny.yaml", "--set", "data.n_trian=3"], "n_train"),
    "override without value": (["validate", "tiny.yaml", "--set", "width"], "width"),
    "a file for a store": (["run", "tiny.yaml", "--store", "tiny.yaml"], "'tiny.yaml' is a file"),
    "a file for a store to look at": (["status", "tiny.yaml", "--store", "tiny.yaml"], "'tiny.yaml' is a file"),
    "a file for data": (["run", "tiny.yaml", "--data-dir", "tiny.yaml"], "'tiny.yaml' is a file"),
    "a filter without value": (["show", "tiny.yaml", "--where", "eps"], "--where 'eps': write NAME=VALUE"),
    "no such format": (["show", "tiny.yaml", "--format", "xls"], "'xls' is not one of"),
    "no such listing": (["list", "planets"], "'planets' is not one of"),
    "no such data set": (["data", "fetch", "cifar"], "cifar10"),
    "no track": (["submit", "tiny.yaml", "--name", "x"], "names no track"),
    "init over a spec": (["init", "tiny.yaml"], "tiny.yaml is there already"),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_are_told_in_words_and_exit_with_2(case: str, call, tmp_path: Path):
    tiny.spec(tmp_path)
    arguments, message = WRONG[case]
    code, out, err = call(*arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert "fault of ntkbench" not in err


@pytest.mark.parametrize(
    "command", [["run", "tiny.yaml", "--store", "tiny.yaml/runs"], ["schema", "-o", "tiny.yaml/where.json"]]
)
def test_what_cannot_be_written_is_told_in_words(command: list[str], call, tmp_path: Path):
    tiny.spec(tmp_path)
    code, _, err = call(*command)
    assert code == 1
    assert "fault of ntkbench" not in err
    assert any(reason in err for reason in ("Not a directory", "No such file or directory", "File exists"))


def test_a_fault_is_admitted_and_shown_on_demand(call, tmp_path: Path, monkeypatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError("who knows")

    monkeypatch.setattr("ntkbench.cli.validate.read", broken)
    code, _, err = call("validate", "x.yaml")
    assert code == 1
    assert "ZeroDivisionError: who knows" in err
    assert "Add --debug" in err
    with pytest.raises(ZeroDivisionError):
        main(["--debug", "validate", "x.yaml"])


def test_compiled_programs_are_kept_where_the_user_says(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("NTKBENCH_CACHE", str(tmp_path))
    assert _programs(no_cache=False) is None, "JAX_COMPILATION_CACHE_DIR, which tests set, wins"
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    assert _programs(no_cache=True) is None
    assert not list(tmp_path.iterdir())
    assert _programs(no_cache=False) == Programs(tmp_path / "programs")
    (tmp_path / "programs").chmod(0o777)
    assert _programs(no_cache=False) is None
    assert capsys.readouterr().err.count("compiled programs are not kept") == 1


def test_an_interrupt_exits_with_130(call, tmp_path: Path, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_execute, "execute", interrupted)
    code, out, err = call("run", tiny.spec(tmp_path))
    assert (code, out, err.strip()) == (130, "", "interrupted; the same command resumes")


@pytest.mark.filterwarnings("default")
def test_damage_is_told_in_one_line(call, tmp_path: Path):
    spec = tiny.spec(tmp_path)
    (run_id, *_) = [run.id for run in tiny.planned(tmp_path).runs]
    (tmp_path / "runs" / "records").mkdir(parents=True)
    (tmp_path / "runs" / "records" / f"{run_id}.json").write_text("{")
    code, out, err = call("status", spec)
    assert (code, out) == (0, "2 runs: 2 not begun\n")
    assert err.startswith(f"warning: runs/records/{run_id}.json")
    assert "the run counts as not done" in err


def test_init_writes_a_spec_that_is_valid(call):
    assert call("init")[:2] == (0, "experiment.yaml: edit it, then `ntkbench run experiment.yaml`\n")
    assert call("validate", "experiment.yaml") == (0, "experiment.yaml: 6 runs\n", "")
    assert call("init", "my spec.yaml")[0] == 0
    assert call("validate", "my spec.yaml")[0] == 0


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("datasets", ["fashion_mnist_mini", "cifar10", "two_gaussians", "sphere_teacher"]),
        ("architectures", ["fc", "depth", "dense"]),
        ("kernels", ["infinite", "empirical"]),
        ("attacks", ["fgsm", "pgd", "apgd", "random_sign"]),
        ("analyses", ["accuracy", "transfer"]),
        ("metrics", ["transfer_rate", "gradient_cosine", "fraction"]),
    ],
)
def test_what_a_spec_can_name_is_listed(what: str, words: list[str], call):
    code, out, _ = call("list", what)
    assert code == 0
    assert all(word in out for word in words)


def test_the_schema_is_printed_or_written(call, tmp_path: Path):
    code, out, _ = call("schema")
    assert code == 0
    assert json.loads(out)["title"].startswith("ntkbench spec")
    assert call("schema", "-o", "schema.json") == (0, "", "")
    assert (tmp_path / "schema.json").read_text() == out


def test_an_installation_is_examined(call, tmp_path: Path):
    code, out, _ = call("doctor", "--store", "kept")
    assert code == 0
    assert "FAULT" not in out
    assert "double precision" in out
    (tmp_path / "file").write_text("")
    code, out, _ = call("doctor", "--store", "file/runs")
    assert code == 1
    assert "FAULT store" in out


RULES = """
schema: ntkbench.track/2
allow_failed: [source_and_target_at_equal_time]
title: Tiny
about: For tests.
spec: tiny.yaml
frozen: [data, attacks, analyses, numerics]
free: [architecture, width, training, kernels]
rank: {title: rate, metric: transfer_rate, where: {attack: ntk, denominator: target_correct}, order: descending}
columns: [{title: clean, metric: accuracy, where: {target: self}}]
min_seeds: 2
tolerance: {fraction: 0.05}
mini: {training: {epochs: 1}}
"""


def a_track(folder: Path) -> Path:
    """The rules of the tiny experiment."""
    cell = [line for line in tiny.SPEC.splitlines() if not line.startswith(("ntkbench:", "name:", "seeds:"))]
    board = folder / "leaderboards" / "tiny@1"
    board.mkdir(parents=True)
    (board / "track.yaml").write_text(RULES + "cell:\n" + "\n".join(f"  {line}" for line in cell if line))
    return board


def test_from_runs_to_an_entry_that_is_reproduced(call, tmp_path: Path):
    spec, board = tiny.spec(tmp_path), a_track(tmp_path)
    assert call("run", spec)[0] == 0
    submission = ("submit", spec, "--track", "tiny@1", "--allow-dirty", "--name")
    code, out, _ = call(*submission, "Tiny")
    assert code == 0
    assert out.splitlines()[0] == "leaderboards/tiny@1/entries/tiny.json"
    assert "Now run `ntkbench leaderboard build`" in out
    assert "is there already" in call(*submission, "Tiny")[2]
    assert "has the same runs" in call(*submission, "Copy")[2]
    assert call("leaderboard", "build")[0] == 0
    assert "| claimed" in (board / "README.md").read_text()
    levels = ("checked", "reproduced (1 of 2 seeds)", "reproduced (2 of 2 seeds)")
    for options, level in zip((["--mini"], ["--seeds", "1"], ["--seeds", "0", "--draw", "x"]), levels, strict=True):
        code, out, _ = call("verify", "tiny@1/tiny", *options)
        assert code == 0
        assert f"Tiny is {level}: leaderboards/tiny@1/checks/tiny.json" in out
        assert call("leaderboard", "build", "--check")[0] == 3, "the page does not know yet"
        assert call("leaderboard", "build")[0] == 0
        assert f"[{level}](checks/tiny.json)" in (board / "README.md").read_text()
    assert call("leaderboard", "build", "--check")[0] == 0
    code, out, _ = call("compare", "tiny@1/tiny", "leaderboards/tiny@1/entries/tiny.json")
    assert code == 0
    assert "+0.000" in out


def forged(value: dict) -> None:
    """All outcomes of the first seed the other way, and what follows from them."""
    of = value["cells"][0]["results"][0]
    first = of["outcomes"][0].translate(str.maketrans("01", "10"))
    of["outcomes"][0], n = first, of["runs"][0]["n"]
    of["runs"][0] |= {"k": first.count("1"), "value": first.count("1") / n}
    cell = EntryCell.model_validate_json(json.dumps(value["cells"][0]))
    value["results"][0] = summarize([cell.results[0]]).model_dump(mode="json")


@pytest.mark.parametrize(("of", "options"), [("seeds", []), ("mini", ["--mini"])])
def test_numbers_that_add_up_and_are_not_true_are_found_by_running_again(of: str, options, call, tmp_path: Path):
    spec, board = tiny.spec(tmp_path), a_track(tmp_path)
    assert call("run", spec)[0] == 0
    assert call("submit", spec, "--track", "tiny@1", "--name", "Tiny", "--allow-dirty")[0] == 0
    path = board / "entries" / "tiny.json"
    value = json.loads(path.read_text())
    if of == "seeds":
        forged(value)
    else:
        number = value["mini"]["runs"][0]["numbers"][1]
        number["k"] = abs(number["k"] - 3)
        number["value"] = number["k"] / number["n"]
    path.write_text(json.dumps(value))
    assert call("leaderboard", "build")[::2] == (0, ""), "it adds up"
    code, out, err = call("verify", path, *options)
    assert code == 3
    assert "DIFFERS" in out
    assert "does not give the entry's numbers; nothing is written down" in err
    assert not (board / "checks").exists()


def test_an_entry_without_its_small_run(call, tmp_path: Path):
    spec, _ = tiny.spec(tmp_path), a_track(tmp_path)
    assert call("run", spec)[0] == 0
    code, out, _ = call("submit", spec, "--track", "tiny@1", "--name", "Tiny", "--allow-dirty", "--no-mini")
    assert code == 0
    assert "it stays *claimed*, and without a rank, until somebody reproduces a seed" in out
    code, _, err = call("verify", "tiny@1/tiny", "--mini")
    assert (code, err) == (2, "Tiny has no numbers of a small run to compare with; leave --mini out\n")
    assert call("verify", "tiny@1/tiny", "--mini", "--seeds", "0")[0] == 2


@pytest.mark.parametrize(
    "command",
    [["validate"], ["plan", "--store", "runs"], ["status", "--store", "runs"], ["show", "--store", "runs"]],
    ids=lambda command: command[0],
)
def test_commands_that_only_look_never_import_jax(command: list[str], tmp_path: Path):
    name, *options = command
    assert "jax" not in _modules([name, str(QUICKSTART), *options], tmp_path)


@pytest.mark.parametrize("command", [["validate"], ["plan", "--store", "runs"]], ids=lambda command: command[0])
def test_planning_imports_nothing_that_takes_long(command: list[str], tmp_path: Path):
    name, *options = command
    found = _modules([name, str(QUICKSTART), *options], tmp_path)
    assert not {"numpy", "pandas", "filelock", "multiprocessing", "rich.console"} & found


def test_the_help_imports_no_command(tmp_path: Path):
    assert not [name for name in _modules(["--help"], tmp_path) if name.startswith(("ntkbench.cli.run", "numpy"))]


def test_the_commands_are_those_of_the_table():
    for name, command in cli.commands.items():
        assert command.name == name


@pytest.fixture
def boards(tmp_path: Path) -> Path:
    """A leaderboard of three entries."""
    three(tmp_path / "leaderboards", track.read(written(tmp_path / "leaderboards")))
    return tmp_path / "leaderboards"


def test_leaderboards_become_a_site(call, boards: Path, tmp_path: Path):
    assert call("leaderboard", "build", "--check")[0] == 3
    assert call("leaderboard", "build")[0] == 0
    assert call("leaderboard", "build", "--check")[:2] == (0, "every table is what its entries give\n")
    assert call("leaderboard", "site", "-o", "pages") == (0, "pages/index.html\n", "")
    assert (tmp_path / "pages" / "small@1" / "index.html").read_text("utf-8").startswith("<!doctype html>")
    assert call("leaderboard", "site", "-o", "more", "--folder", "nowhere")[0] == 2
    assert not (tmp_path / "more").exists()


def test_comparing_entries_never_imports_jax(boards: Path, tmp_path: Path):
    assert "jax" not in _modules(["compare", "small@1/wide", "small@1/narrow", "--folder", str(boards)], tmp_path)


@pytest.mark.parametrize("command", [["build"], ["site", "-o", "pages"]], ids=lambda command: command[0])
def test_building_leaderboards_never_imports_jax(command: list[str], boards: Path, tmp_path: Path):
    modules = _modules(["leaderboard", *command, "--folder", str(boards)], tmp_path)
    assert "ntkbench.boards.standings" in modules
    assert "jax" not in modules


def _modules(arguments: list[str], folder: Path) -> set[str]:
    """All that a command imports."""
    code = "import sys\nfrom ntkbench.cli.main import main\n"
    code += f"try: main({arguments!r})\nfinally: print(*sys.modules, file=sys.stderr)"
    environment = {**os.environ, "PYTHONPATH": str(QUICKSTART.parent.parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=environment)
    return set(done.stderr.splitlines()[-1].split())


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path):
    command = f"{sys.executable} -m ntkbench.cli.main schema | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=QUICKSTART.parent.parent)
    assert (done.stdout, done.stderr) == ("{", "")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["validate", "plan"])
def test_answers_at_once(command: str, tmp_path: Path):
    """Under half a second, the start of Python included; where the processor is too slow, three times its libraries.

    Seconds of the processor, so that the neighbors do not count, and the libraries' in turn with them.
    """
    arguments = ["-m", "ntkbench.cli.main", command, str(QUICKSTART)]
    arguments += ["--store", str(tmp_path)] if command == "plan" else []
    libraries = ["-c", "import click, importlib.metadata, yaml; from pydantic import BaseModel, create_model"]
    used = partial(_used, bytecode=tmp_path / "bytecode")
    least, own = (min(each) for each in zip(*((used(libraries), used(arguments)) for _ in range(7)), strict=True))
    assert own < max(0.5, 3 * least)


def _used(arguments: list[str], bytecode: Path) -> float:
    """Return the processor seconds of a process of Python that finds its modules compiled, as installed ones are."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(bytecode)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=QUICKSTART.parent.parent,
        env=environment,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_from_records_to_a_file(call, tmp_path: Path):
    spec = tiny.spec(tmp_path)
    assert call("run", spec)[0] == 0
    code, out, err = call("export", spec, "--metric", "transfer_rate")
    assert (code, err) == (0, "")
    header, *rows = [line.split(",") for line in out.splitlines()]
    assert header[:4] == ["run_id", "status", "spec", "seed"]
    assert {row[header.index("metric")] for row in rows} == {"transfer_rate"}
    assert call("export", "--format", "jsonl", "-o", "all.jsonl") == (0, "", "")
    assert all(json.loads(line)["spec"] == "tiny" for line in (tmp_path / "all.jsonl").read_text().splitlines())
    assert call("export", spec, "-o", "some.parquet") == (0, "", "")
    assert (tmp_path / "some.parquet").read_bytes().startswith(b"PAR1")
    assert call("export", "--format", "parquet")[0] == 2
    assert call("export", "--smoke") == (2, "", "--set and --smoke change a spec: name one\n")
    code, _, err = call("export", "--store", "nowhere")
    assert (code, err) == (2, "nowhere has no records; `ntkbench run SPEC` makes some, or name another store\n")


def test_two_runs_side_by_side(call, tmp_path: Path):
    spec = tiny.spec(tmp_path)
    assert call("run", spec)[0] == 0
    one, other = (path.stem for path in (tmp_path / "runs" / "records").glob("*.json"))
    code, out, err = call("diff", one, other[:7])
    assert (code, err) == (0, "")
    assert "\nconfig    a    b\n" in out
    assert "\nseed      " in out
    assert call("diff", one, "rzz")[0] == 2


def test_where_values_come_from(call, tmp_path: Path):
    spec = tiny.spec(tmp_path)
    code, out, err = call("explain", spec, "--set", "width=9")
    assert (code, err) == (0, "")
    assert "width: 9" in out
    assert "# --set width=9" in out
    assert out.count("no record: would be run") == 2
    assert call("explain", spec, "--where", "width=8")[0] == 2


def test_stages_are_those_of_the_store():
    assert STAGES == store_folder.STAGES


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Two stores with a run each of the same experiment."""
    runs = factory.planned(factory.cell(), range(2), width="32")
    folders = [tmp_path / f"shard-{run.seed}" for run in runs]
    for folder, run in zip(folders, runs, strict=True):
        factory.store(folder / "records", [run])
    return folders


def test_stores_are_merged_and_looked_after(shards: list[Path], call, tmp_path: Path):
    code, out, err = call("store", "merge", *shards)
    assert (code, err) == (0, "")
    assert out.splitlines() == [f"{folder}: 1 new records" for folder in shards]
    kept = Store(tmp_path / "runs")
    kept.save("kernel", "k0123456789ab", {"a": np.zeros(1000)})
    os.utime(tmp_path / "runs" / "objects" / "kernel" / "k0123456789ab", (0, 0))
    code, out, _ = call("store", "du")
    assert (code, out.splitlines()[2].split()) == (0, ["kernel", "1", "8", "kB"])
    for flags, end in (([], "nothing was deleted: add --delete"), (["--delete"], "deleted")):
        assert kept.has("kernel", "k0123456789ab")
        code, out, _ = call("store", "gc", *flags)
        assert (code, out.splitlines()[-1]) == (0, end)
        assert "no record names it" in out
    assert not kept.has("kernel", "k0123456789ab")
    assert call("store", "verify")[:2] == (0, "2 objects and records, of which 0 are damaged\n")
    assert call("store", "reindex")[:2] == (0, "2 records\n")
    assert (tmp_path / "runs" / "index.json").is_file()


def test_damage_in_a_store_exits_with_3(shards: list[Path], call):
    (damaged,) = (shards[0] / "records").glob("*.npz")
    damaged.write_bytes(b"")
    code, out, _ = call("store", "verify", "--store", shards[0], "--repair")
    assert code == 3
    assert "its checksum is not the record's" in out
    assert out.count("moved to ") == 2
    assert call("store", "verify", "--store", shards[0])[0] == 0
    code, out, err = call("store", "merge", shards[0], shards[1] / "nowhere")
    assert (code, out) == (2, "")
    assert "there is no store" in err


def test_other_numbers_of_the_same_run_exit_with_3(shards: list[Path], call, tmp_path: Path):
    (run,) = factory.planned(factory.cell(), [0], width="32")
    factory.store(tmp_path / "runs" / "records", [run], rate=0.9)
    code, out, err = call("store", "merge", *shards)
    assert (code, out) == (3, "")
    assert f"{run.id}: transfer transfer_rate/1" in err
    assert "1 runs have other numbers" in err
    assert len(list((tmp_path / "runs" / "records").glob("*.json"))) == 2


@pytest.mark.filterwarnings("default")
def test_what_is_left_out_of_a_merge_is_told(shards: list[Path], call):
    (record,) = (shards[0] / "records").glob("*.json")
    record.write_text("{")
    code, out, err = call("store", "merge", shards[0], "--store", shards[1])
    assert (code, out) == (0, f"{shards[0]}: nothing new\n")
    assert err.startswith(f"warning: {record}: ")


def test_nothing_that_is_told_moves_the_cursor(call, tmp_path: Path):
    path = tmp_path / "a\x1b[2Jb.yaml"
    code, _, told = call("validate", str(path))
    assert code == 2
    assert "\x1b" not in told
    assert "a\ufffd[2Jb.yaml" in told
    code, _, told = call("run", str(path / "\u202e"), "--store", "\x9b")
    assert code == 2
    assert "\u202e" not in told
