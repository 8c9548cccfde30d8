"""Arrays of strangers: told, not fallen over."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ntkbench.errors import NtkbenchError
from ntkbench.results.plots import plot
from ntkbench.results.plots.series import FORMS, check
from ntkbench.store.store import Store
from tests.examples import findings
from tests.examples.findings import depths

MADE = {id: make(np.random.default_rng(0)) for id, make in findings.SERIES.items()}
KINDS = {"eigen": "eigenspace", "time": "time", "agree": "consistency", "certain": "certificate"}
EVERY = [(id, name) for id, series in MADE.items() for name in series if name in FORMS[KINDS[id]]]


def spoiled(array: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "type": np.full(array.shape, "x"),
        "axes": array[None],
        "none": array.ravel()[:0] if array.ndim else np.zeros(0, array.dtype),
    }


@pytest.mark.parametrize("id", MADE)
def test_what_an_analysis_leaves_has_its_form(id: str):
    check(KINDS[id], MADE[id], "run")


@pytest.mark.parametrize(("id", "name"), EVERY)
@pytest.mark.parametrize("how", ["type", "axes", "none"])
def test_another_type_or_shape_is_told(id: str, name: str, how: str):
    wrong = {**MADE[id], name: spoiled(MADE[id][name])[how]}
    if how == "axes" and name in ("picture_image", "picture_gradient"):
        pytest.skip("a picture has any number of axes")
    with pytest.raises(NtkbenchError, match=r"^run: its series \w+ is (of type|of shape|empty)"):
        check(KINDS[id], wrong, "run")


@pytest.mark.parametrize("id", MADE)
def test_a_record_of_a_stranger_is_told_and_no_fault(id: str, tmp_path: Path):
    for name in (name for of, name in EVERY if of == id):
        store, wrong = Store(tmp_path / name), MADE[id][name].ravel()[:1].astype(str)
        findings.store(store.records, depths(1), **{id: {**MADE[id], name: wrong}})
        with pytest.raises(NtkbenchError):
            plot.plot(plot.results_of_store(store), store.records, tmp_path / "pictures", analyses=[id])


def test_what_no_form_tells_is_told_too(tmp_path: Path, monkeypatch):
    def falls_over(*_: object) -> Iterator[None]:
        yield from [][3]

    monkeypatch.setattr(plot, "DRAWN", {"eigenspace": falls_over})
    store = Store(tmp_path)
    findings.store(store.records, depths(1))
    with pytest.raises(NtkbenchError, match=r"eigen of r\w+ cannot be drawn, as its arrays or its cell .*IndexError"):
        plot.plot(plot.results_of_store(store), store.records, tmp_path / "pictures", analyses=["eigen"])


@pytest.mark.parametrize("resolved", [{}, {"analyses": 3}, {"analyses": {"a": []}}, {"analyses": {"a": {"kind": 3}}}])
def test_a_cell_that_is_none(resolved: dict, tmp_path: Path):
    store = Store(tmp_path)
    (made,) = findings.store(store.records, depths(1))
    strange = made.model_copy(update={"spec": made.spec.model_copy(update={"resolved": resolved})})
    results = plot.DrawnRecords("synthetic", ((strange, {}),))
    with pytest.raises(NtkbenchError):
        plot.plot([results], store.records, tmp_path / "pictures")
