"""Specs from files, mappings and text: the same experiment, the same mistakes."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import ntkbench as nb
from ntkbench.errors import UsageError
from ntkbench.spec.document import plain
from ntkbench.spec.reading import values
from tests.examples import tiny


def mapping(**changes: Any) -> dict[str, Any]:
    return {**yaml.safe_load(tiny.SPEC), **changes}


def ids(spec: nb.Spec) -> list[str]:
    return [run.id for run in spec.planned.runs]


def test_file_mapping_and_text_are_one_experiment(tmp_path: Path):
    file = nb.load(tiny.spec(tmp_path))
    assert ids(file) == ids(nb.load(mapping())) == ids(nb.load(tiny.SPEC))
    assert nb.load(file) is file
    assert repr(file) == "<Spec tiny: 1 cells, 2 runs>"
    assert file.cells[0]["attacks"]["ntk"]["eps"] == ["8/255"]
    assert "<th style='text-align:left'>spec</th>" in file._repr_html_()


def test_python_s_numbers_are_those_of_the_spec():
    attack = {"kind": "random_sign", "eps": (Fraction(8, 255),)}
    there = mapping(width=np.int64(8), attacks={**mapping()["attacks"], "noise": attack})
    assert ids(nb.load(there)) == ids(nb.load(mapping()))
    assert plain(values.node({"a": [None, True, np.float64(0.5), "inf"]}, "x")) == {
        "a": [None, True, 0.5, float("inf")]
    }


def test_overrides_and_smoke_apply():
    small = mapping(smoke={"seeds": 1})
    assert len(nb.load(small, smoke=True).planned.runs) == 1
    assert nb.load(mapping(), set=["width=4"]).cells[0]["width"] == 4
    assert nb.load(mapping(), set="width=4").overrides == ("width=4",)


def test_a_mapping_may_extend_a_file(tmp_path: Path, monkeypatch):
    tiny.spec(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert nb.load({"extends": ["tiny.yaml"], "width": 4}).cells[0]["width"] == 4


def test_mistakes_in_a_mapping_are_told_by_field_in_its_order():
    with pytest.raises(nb.SpecError) as caught:
        nb.load(mapping(width="x", trainin={}, attacks={"ntk": {"kind": "fgsm", "source": "limi", "eps": 2}}))
    told = str(caught.value).splitlines()
    assert told[0].startswith("spec: width: expected a whole number")
    assert any(line.startswith("spec: attacks.ntk.source: no kernel limi; did you mean limit?") for line in told)
    assert any(line == "spec: trainin: unknown field; did you mean training?" for line in told)
    page = caught.value._repr_html_()
    assert "<td style='text-align:left'>attacks.ntk.source</td>" in page
    assert "<script" not in page
    assert caught.value._render_traceback_()[1:] == told


def test_mistakes_in_text_have_their_line():
    with pytest.raises(nb.SpecError, match=r"^text:6:8: width: expected"):
        nb.load(tiny.SPEC.replace("width: 8", "width: x"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"data": {1: 2}}, "spec: data: a key must be text, and this is 1"),
        ({"data": {3}}, "spec: data: a spec is plain data, and this is of the type set"),
        ({"data": [np.zeros(2)]}, r"spec: data\[0\]: a spec is plain data, and this is of the type ndarray"),
    ],
)
def test_what_is_no_data_is_refused(value: Any, message: str):
    with pytest.raises(nb.SpecError, match=message):
        nb.load(value)


def test_a_mapping_that_contains_itself_is_refused():
    loop: dict[str, Any] = {}
    loop["data"] = loop
    with pytest.raises(nb.SpecError, match="nested deeper than 30 levels"):
        nb.load(loop)


def test_a_plan_is_a_table(tmp_path: Path):
    spec = mapping(matrix={"width": [8, 16]})
    found = nb.plan(spec, store=tmp_path)
    assert found.frame[["width", "runs", "done"]].to_numpy().tolist() == [[8, 2, 0], [16, 2, 0]]
    assert min(found.frame["seconds"]) > 0
    assert "time" in repr(found)
    assert "<td style='text-align:left'>0/2</td>" in found._repr_html_()
    assert len(nb.plan(spec, store=tmp_path, where={"width": 16}).frame) == 1
    assert len(nb.plan(spec, store=tmp_path, where={"width": [8, "16"]}).frame) == 2
    with pytest.raises(UsageError, match="spec: the axis width has no label 32; it has 8, 16"):
        nb.plan(spec, store=tmp_path, where={"width": 32})
