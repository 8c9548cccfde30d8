"""The pages in docs: what they show is what happens, what is generated is what the program would write."""

import doctest
import re
from pathlib import Path

import pytest

from ntkbench.cli.main import cli
from ntkbench.errors import VerificationError
from ntkbench.plan.read import read
from ntkbench.reference import pages
from ntkbench.run.shared import SharedStages
from ntkbench.run.worker import check_inputs
from ntkbench.spec import schema
from ntkbench.spec.extensions import known_metrics
from ntkbench.store.store import Store
from tests.cli.test_cli import commands

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


@pytest.fixture(autouse=True)
def root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_the_sessions_in_python_go_as_they_are_shown():
    text = (DOCS / "python.md").read_text("utf-8")
    session = doctest.DocTestParser().get_doctest(text, {}, "python.md", "docs/python.md", 0)
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(session, out=told.append)
    assert runner.tries > 15
    assert runner.failures == 0, "".join(told)


def test_the_reference_is_what_the_program_says():
    assert pages.write(DOCS, cli, check=True) == [], "run `ntkbench reference`"


def test_a_page_that_drifts_is_noticed(tmp_path):
    assert [path.name for path in pages.write(tmp_path, cli)] == ["spec.md", "metrics.md", "cli.md", "api.md"]
    (tmp_path / "cli.md").write_text("by hand")
    with pytest.raises(VerificationError, match=r"cli\.md: not what the program says; run `ntkbench reference"):
        pages.write(tmp_path, cli, check=True)
    assert [path.name for path in pages.write(tmp_path, cli)] == ["cli.md"]
    assert pages.write(tmp_path, cli) == []


def test_the_examples_of_a_spec_s_sections_are_one_spec(tmp_path: Path):
    text = (ROOT / "ntkbench" / "reference" / "examples.yaml").read_text("utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", (DOCS / "spec.md").read_text("utf-8"), flags=re.DOTALL)
    header = "ntkbench: 1\nname: examples\n"
    assert header + "".join(f"\n{example}" for example in examples) == text.partition("\n")[2]
    file = tmp_path / "examples.yaml"
    file.write_text(text.replace("\nwidth: 512\n", ""), "utf-8")
    assert len(read(file).runs) == 3


def test_every_field_of_every_section_is_told():
    page = (DOCS / "spec.md").read_text("utf-8")
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 150
    assert all(len(row) == 4 and row[3].strip() for row in rows), "every field has a text below it"
    fields = {name for model in schema.document()["$defs"].values() for name in model["properties"]}
    assert fields - {row[0].strip(" `") for row in rows} == {"kind", "op"}


def test_every_metric_has_its_formula():
    page = (DOCS / "metrics.md").read_text("utf-8")
    assert all(each.formula and f"$$\n{each.formula}\n$$" in page for each in known_metrics().values())


def test_every_command_is_told():
    page = (DOCS / "cli.md").read_text("utf-8")
    assert set(re.findall(r"^## ntkbench (.*)$", page, flags=re.MULTILINE)) == {" ".join(path) for path in commands()}


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    text = page.read_text("utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        file, _, anchor = link.partition("#")
        if not link.startswith("https://"):
            there = (page.parent / file) if file else page
            assert there.exists(), link
            assert not anchor or anchor in anchors(there.read_text("utf-8")), link


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings, and those written out."""
    headings = [re.sub(r"<[^>]*>", "", line) for line in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)]
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)">', text))


def test_the_index_names_every_page():
    index = (DOCS / "README.md").read_text("utf-8")
    assert {page.name for page in DOCS.glob("*.md")} - {"README.md"} == set(re.findall(r"\]\((\w+\.md)\)", index))


def test_each_fault_has_its_test():
    matrix = (DOCS / "reliability.md").read_text("utf-8").partition("## The faults\n\n")[2].partition("\n\n")[0]
    rows = [line for line in matrix.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", row.rsplit(" | ", 1)[1])
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (ROOT / "tests" / "faults" / file).read_text("utf-8"), test


def test_the_data_page_goes_as_it_is_shown(tmp_path, monkeypatch):
    """Its sessions make the files that its specs name; all examples are there, and the images fit."""
    monkeypatch.chdir(tmp_path)
    text = (DOCS / "data.md").read_text("utf-8")
    specs = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    for spec in specs:
        (tmp_path / f"{re.findall(r'^name: (.*)$', spec, flags=re.MULTILINE)[0]}.yaml").write_text(spec, "utf-8")
    bare = re.sub(r"^```.*$", "", text, flags=re.MULTILINE)
    session = doctest.DocTestParser().get_doctest(bare, {}, "data.md", "docs/data.md", 0)
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    runner.run(session, out=told.append)
    assert runner.failures == 0, "".join(told)
    names = ["lab", "folder", "table", "theirs"]
    cells = [read(f"{name}.yaml").runs[0].cell for name in names]
    check_inputs(SharedStages(Store(tmp_path / "runs"), (), 1e8), cells)
    assert len(cells) == len(specs)
