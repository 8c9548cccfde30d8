"""The distributions: they build, what they say of themselves is valid, and the specs are inside."""

import importlib.util
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

import ntkbench

ROOT = Path(__file__).parent.parent
TOOLS = ("build", "hatchling", "twine")


def tool(*arguments: str) -> str:
    """Run a module of Python, and return what it said; fail if it does."""
    ran = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> Path:
    """The source distribution, and the wheel that is built from it."""
    if missing := [name for name in TOOLS if importlib.util.find_spec(name) is None]:
        pytest.skip(f"without {', '.join(missing)}; pip install '.[dev]'")
    folder = tmp_path_factory.mktemp("dist")
    tool("build", "--no-isolation", "--outdir", str(folder), ".")
    return folder


@pytest.mark.slow
def test_what_they_say_of_themselves_is_valid(dist: Path):
    assert tool("twine", "check", "--strict", *map(str, dist.iterdir())).count("PASSED") == 2


@pytest.mark.slow
def test_the_wheel_has_the_specs_and_nothing_but_the_package(dist: Path):
    (wheel,) = dist.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    inside = {name.removeprefix("ntkbench/specs/") for name in names if name.startswith("ntkbench/specs/")}
    assert inside == {path.relative_to(ROOT / "specs").as_posix() for path in (ROOT / "specs").rglob("*.yaml")}
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"ntkbench"}


@pytest.mark.slow
def test_the_source_has_what_its_tests_need(dist: Path):
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert names >= {"README.md", "pyproject.toml", "specs/quickstart.yaml", "tests/test_packaging.py", "docs/spec.md"}


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert (cited["version"], cited["license"]) == (ntkbench.__version__, "MIT")


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem
)
def test_forms_for_issues_name_their_fields_once(form: Path):
    body = yaml.safe_load(form.read_text("utf-8")).get("body", [])
    names = [field["id"] for field in body]
    assert len(names) == len({*names})
    assert body or form.stem == "config"
