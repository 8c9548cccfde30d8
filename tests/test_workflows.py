"""The workflows parse, trust nobody, and name only commands and options that there are."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from ntkbench.cli.main import cli

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONS = {"actions/checkout@v4", "actions/setup-python@v5"}
WRITING = {"actions/attest-build-provenance@v2", "actions/upload-pages-artifact@v3", "actions/deploy-pages@v4"}
"""actions of GitHub's own that write what workflows in `WRITE` make"""
WRITE = {"levels", "site"}
"""workflows that may write: they run what was merged, never a pull request"""


def workflow(path: Path) -> dict[Any, Any]:
    # YAML 1.1 reads the key `on` as true.
    found = yaml.safe_load(path.read_text())
    return {"on" if key is True else key: value for key, value in found.items()}


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in workflow(path)["jobs"].values() for step in job["steps"]]


def test_there_are_workflows():
    assert [path.stem for path in FILES] == ["ci", "leaderboard", "levels", "nightly", "site", "versions"]


@pytest.mark.parametrize("path", [path for path in FILES if path.stem in WRITE], ids=lambda path: path.stem)
def test_what_may_write_runs_merged_code_alone(path: Path):
    found = workflow(path)
    assert set(found["on"]) == {"push"}
    assert found["on"]["push"]["branches"] == ["main"]
    assert "secrets" not in path.read_text()
    for step in steps(path):
        assert step.get("uses", "actions/checkout@v4") in ACTIONS | WRITING
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("path", [path for path in FILES if path.stem not in WRITE], ids=lambda path: path.stem)
def test_a_fork_s_code_meets_nothing_worth_taking(path: Path):
    found = workflow(path)
    assert set(found["on"]) <= {"pull_request", "push", "schedule", "workflow_dispatch"}
    assert found["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in found["jobs"].values())
    assert "secrets" not in path.read_text()
    for step in steps(path):
        assert step.get("uses", "actions/checkout@v4") in ACTIONS
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False
        assert "${{" not in step.get("run", ""), "text of a pull request never becomes a command"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_commands_are_those_there_are(path: Path):
    for step in steps(path):
        for line in re.findall(r"ntkbench [^|\n]*", step.get("run", "")):
            _exists(shlex.split(line)[1:])
        for script in re.findall(r"^(\.\S+)", step.get("run", "")):
            assert (ROOT / script).stat().st_mode & 0o111


def _exists(words: list[str]) -> None:
    command: click.Command = cli
    while words and isinstance(command, click.Group):
        assert words[0] in command.commands
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= options


def test_every_python_that_is_promised_is_tested():
    """And the lowest versions of dependencies, on the lowest of them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    promised = {line.rpartition(" ")[2] for line in project["classifiers"] if "Python :: 3." in line}
    tried = workflow(ROOT / ".github" / "workflows" / "versions.yml")["jobs"]["tests"]["strategy"]["matrix"]["include"]
    assert {each["python"] for each in tried if each["resolution"] == "highest"} == promised
    assert [each["python"] for each in tried if each["resolution"] == "lowest-direct"] == ["3.11"]
    assert project["requires-python"] == ">=3.11"


def test_a_command_that_is_not_there_is_noticed():
    for words in (["verfy", "--mini"], ["verify", "--min"], ["leaderboard", "built"]):
        with pytest.raises(AssertionError):
            _exists(words)
