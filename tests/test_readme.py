"""The results in the README and the findings are what the records in docs/results give; the README's spec is one."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from ntkbench.bench import plan
from ntkbench.cli import cli

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
FINDINGS = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
RESULTS = re.findall(r"<!-- ntkbench (show .*?) -->\n(.*?)<!-- end -->", TEXT + FINDINGS, flags=re.DOTALL)


def test_there_are_results():
    assert len(RESULTS) >= 3


@pytest.mark.parametrize(("command", "shown"), RESULTS, ids=[command for command, _ in RESULTS])
def test_results_are_what_the_records_give(monkeypatch, command, shown):
    monkeypatch.chdir(ROOT)
    ran = CliRunner().invoke(cli, command.split(), catch_exceptions=False)
    table = ran.output.split("\n\n")[0]
    assert shown.strip() == table.strip()


def test_the_spec_is_valid(tmp_path):
    (spec,) = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)
    file = tmp_path / "readme.yaml"
    file.write_text(spec, encoding="utf-8")
    assert len(plan.read(str(file)).runs) == 6
