import re
from pathlib import Path

import pytest

from ntkbench.errors import UsageError
from ntkbench.plan.read import read
from ntkbench.plan.runs import Plan, Run
from ntkbench.results.report import report
from ntkbench.spec.cell import Header
from ntkbench.store import record
from ntkbench.store.store import Store
from tests.boards.test_site import HOSTILE
from tests.examples import factory, markup
from tests.examples.factory import a_record, cell, failed, planned

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def a_plan(runs: list[Run], **header) -> Plan:
    return Plan(Header.model_validate({"ntkbench": 1, "name": "small", **header}), tuple(runs), "specs/small.yaml")


def widths(*labels: int, seeds: int = 3) -> list[Run]:
    return [run for width in labels for run in planned(cell(width=width), range(seeds), width=str(width))]


@pytest.mark.slow
def test_the_report_of_committed_records():
    """Every picture and every metric of a spec, the numbers of `show`."""
    planned, kept = read(ROOT / "specs/eigenspace/fashion2.yaml"), Store(ROOT / "docs" / "results")
    text = report(planned, kept)
    assert text == report(planned, kept)
    page = markup.read(text)
    assert len(page.named("svg")) == len(page.named("figcaption")) == 1 + 5
    for words in ("3 runs: 3 ok.", "k90", "eigenvalues_apart", "0.785 (1)", "eigenspace_robustness"):
        assert words in page.text
    assert "Unfinished" not in page.text


def test_each_record_is_read_once(store: Store, monkeypatch):
    runs, reads, read_record = widths(16), [], record.read
    factory.store(store.records, runs)
    monkeypatch.setattr(record, "read", lambda path: reads.append(path.stem) or read_record(path))
    assert "<svg" in report(a_plan(runs), store)
    assert sorted(reads) == sorted(run.id for run in runs)


def test_it_needs_nothing_but_itself(store: Store):
    runs = widths(16, 64)
    factory.store(store.records, runs)
    page = markup.read(report(a_plan(runs), store))
    assert not page.values("src")
    assert not page.values("style")
    assert {href[0] for href in page.values("href")} <= {"#", "d"}
    assert {link["href"] for link in page.named("link")} == {"data:,"}
    ids = page.values("id")
    assert len(set(ids)) == len(ids)
    assert {*page.values("aria-labelledby")} <= set(ids)
    assert len(page.styles) == len(page.scripts) == 1


def test_numbers_have_their_seeds_and_intervals(store: Store):
    runs = widths(16, 64)
    factory.store(store.records, runs)
    text = report(a_plan(runs), store)
    rates = [
        row.value
        for run in runs[:3]
        for row in record.read(store.record(run.id)).metrics
        if (row.metric, row.where.get("attack"), row.where.get("eps")) == ("transfer_rate", "ntk", "8/255")
        and row.where["denominator"] == "target_correct"
    ]
    mean = sum(rate or 0 for rate in rates) / 3
    assert re.search(rf"{mean:.3f} ± 0\.\d+ \(3\) <span class=\"interval\">\[", text)


def test_an_unfinished_report_says_so_and_shows_what_is_missing(store: Store):
    runs = widths(16, 64)
    factory.store(store.records, runs[:4])
    record.write(factory.valid(failed(runs[4], "oom")), store.record(runs[4].id))
    page = markup.read(report(a_plan(runs), store, ["--set", "a b=[1]"]))
    for words in (
        "Unfinished: 4 of 6 runs are done",
        "6 runs: 4 ok, 1 oom, 1 not begun.",
        "the loss is NaN",
        "– (1/3)",
        "ntkbench run specs/small.yaml --set 'a b=[1]'",
        runs[5].id,
    ):
        assert words in page.text
    assert page.named("svg"), "the complete cell is drawn"


def test_of_runs_that_all_failed_there_are_reasons_and_no_numbers(store: Store):
    runs = widths(16)
    for run in runs:
        record.write(factory.valid(failed(run)), store.record(run.id))
    page = markup.read(report(a_plan(runs), store))
    assert "3 runs: 3 failed." in page.text
    assert page.text.count("the loss is NaN") == 3
    assert "None yet." in page.text
    assert not page.named("svg")


def test_checks_that_failed_and_warnings_are_told(store: Store):
    runs = widths(16, seeds=2)
    check = {"code": "box_respected", "ok": False, "analysis": "transfer", "detail": {"largest": 1.5}}
    factory.store(store.records, runs, checks=[check], warnings=["the kernel is nearly singular"])
    text = markup.read(report(a_plan(runs), store)).text
    assert text.count("† 2 of 2 runs failed checks (box_respected)") == 4, "below each table of the analysis"
    assert text.count("box_respected: attacked images have pixels outside of [0, 1]") == 4 + 1
    assert text.count("box_respected") == 2 + 4 + 4 + 1
    assert "largest 1.5" in text
    assert "the kernel is nearly singular (2 runs)" in text
    assert "Every check" not in text


def test_a_spec_without_records_has_no_report(store: Store):
    with pytest.raises(UsageError, match=r"`ntkbench run specs/small\.yaml` makes them"):
        report(a_plan(widths(16)), store)


@pytest.mark.parametrize("text", [HOSTILE[0], *(pytest.param(text, marks=pytest.mark.slow) for text in HOSTILE[1:])])
def test_text_is_text_wherever_it_comes_from(store: Store, text: str):
    (one, two) = planned(cell(), range(2), regime=text)
    check = {"code": text, "ok": False, "analysis": text, "detail": {text: text}}
    factory.store(store.records, [one], checks=[check], warnings=[text], software={text: text}, jax={"a": text})
    record.write(
        factory.valid(a_record(two, status="failed", error={"type": "E", "message": text}, device={"kind": text})),
        store.record(two.id),
    )
    header = {"title": "t " + text, "about": text, "tags": [text], "references": [text]}
    page = markup.read(report(a_plan([one, two], **header), store))
    assert page.text.count(text) >= 12
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert not {"img", "b", "form", "iframe"} & {tag for tag, _ in page.tags}
    assert len(page.styles) == len(page.scripts) == 1
