"""Specs that come with ntkbench are found by name, from any folder; files come first."""

import pytest

from ntkbench.errors import SpecError
from ntkbench.plan.read import read
from ntkbench.reference.listing import listing
from ntkbench.spec.reading import shipped


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A folder without specs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["quickstart", "transfer/fitted"])
def test_a_name_stands_for_the_file(name: str):
    file = shipped.folder() / f"{name}.yaml"
    assert [run.id for run in read(name).runs] == [run.id for run in read(file).runs]
    assert read(name).file == name


def test_a_file_of_that_name_comes_first(elsewhere):
    (elsewhere / "quickstart").write_text("name: mine")
    assert shipped.resolve("quickstart") == "quickstart"


@pytest.mark.parametrize("spec", ["quickstart.yaml", "../quickstart", "/quickstart", "a//b", "quickstart/", ""])
def test_what_looks_like_a_file_is_one(spec: str):
    assert shipped.resolve(spec) == spec


@pytest.mark.parametrize(
    ("name", "end"),
    [("quickstar", "(`ntkbench run --list`); did you mean quickstart?"), ("of-nobody", "(`ntkbench run --list`)")],
)
def test_an_unknown_name_is_told_where_the_names_are(name: str, end: str):
    with pytest.raises(SpecError) as told:
        read(name)
    assert str(told.value) == f"{name}:1:1: there is no such file, and no spec of this name comes with ntkbench {end}"


def test_documents_that_specs_extend_are_no_specs():
    with pytest.raises(SpecError, match="no spec of this name"):
        read("base/fashion2")
    assert not [name for name in shipped.names() if name.startswith("base")]


def test_in_an_installed_package_the_folder_lies_inside(elsewhere, monkeypatch):
    (elsewhere / "specs" / "sub").mkdir(parents=True)
    (elsewhere / "specs" / "sub" / "one.yaml").write_text("name: one")
    monkeypatch.setattr(shipped, "PACKAGE", elsewhere)
    assert shipped.names() == ["sub/one"]
    assert shipped.title("sub/one") == "sub/one"


def test_all_are_listed_with_their_titles():
    lines = listing("specs").splitlines()
    assert len(lines) == 2 + len(shipped.names()) > 30
    assert [line for line in lines if line.split() == ["quickstart", *shipped.title("quickstart").split()]]
