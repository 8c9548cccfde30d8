"""Whoever changes a number of an entry is told so by `leaderboard build --check`, with the reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ntkbench.bench import leaderboard, record, submit, track, verify
from ntkbench.bench.identity import resolved, run_ids
from ntkbench.bench.spec import Cell
from ntkbench.bench.statistics import mean_interval
from ntkbench.errors import VerificationError
from tests.bench.factory import a_record, cell, outcomes, planned, store
from tests.bench.test_track import written

Tamper = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """A board with one entry that is checked."""
    tmp = tmp_path_factory.mktemp("sound")
    folder = written(tmp / "leaderboards")
    rules, runs = track.read(folder), planned(cell(), range(3), width="32")
    entry = submit.make(rules, runs, store(tmp, runs), tmp, name="Sound")
    small = verify.small(rules, entry)
    again = record.validate(a_record(small, outcomes(np.random.default_rng(0))))
    entry = verify.with_mini(entry, rules, again)
    submit.save(entry, folder.parent)
    verify.save(folder, entry, [verify.rerun(rules, entry, again)])
    leaderboard.build(folder.parent)
    return folder


def another_cell(value: dict[str, Any], path: str, new: Any) -> None:
    """Another experiment, with the run ids it should have."""
    section, _, name = path.rpartition(".")
    (value["cell"][section] if section else value["cell"])[name] = new
    value["run_ids"] = list(run_ids(Cell.model_validate(value["cell"]), value["seeds"]))


def recounted(value: dict[str, Any], change: int) -> None:
    """The first seed's count changed, and value and means with it."""
    result = value["results"][0]
    run = result["runs"][0]
    run["k"] += change
    run["value"] = run["k"] / run["n"]
    shares = [each["value"] for each in result["runs"]]
    result["mean"], result["sd"] = float(np.mean(shares)), float(np.std(shares, ddof=1))
    result["ci95"] = mean_interval(shares, (0.0, 1.0))


def swapped(runs: list) -> None:
    runs[0], runs[1] = runs[1], runs[0]


TAMPERS: dict[str, tuple[Tamper, str]] = {
    "value": (lambda e: e["results"][0]["runs"][0].update(value=0.99), "the value is 0.99, but k/n is"),
    "value without counts": (lambda e: e["results"][2]["runs"][0].update(value=0.99), "results.2.mean: "),
    "count k": (lambda e: e["results"][1]["runs"][0].update(k=3), "but k/n is 3/20"),
    "count n": (lambda e: e["results"][1]["runs"][0].update(n=19), "but k/n is .*/19"),
    "count, consistently": (lambda e: recounted(e, 1), "outcomes.runs.0: .*, but the number is"),
    "frozen field": (lambda e: another_cell(e, "data.n_train", 99), "data.n_train: the track has 100, the runs"),
    "free field": (lambda e: e["cell"].update(width=33), "run_ids: .* is not the run of this cell and seed"),
    "free field, with ids": (lambda e: another_cell(e, "width", 33), "mini.run_id: .* is not the small run"),
    "seed list": (lambda e: e.update(seeds=[0, 1, 5]), "run_ids: .* is not the run of this cell and seed"),
    "seed left out": (lambda e: e.update(seeds=[0, 1]), "there are 2 seeds, but not as many runs"),
    "swapped seeds": (lambda e: swapped(e["seeds"]), "run_ids: .* is not the run of this cell and seed"),
    "swapped runs": (lambda e: (swapped(e["seeds"]), swapped(e["run_ids"])), "results.0.runs: not the entry's seeds"),
    "swapped outcomes": (lambda e: swapped(e["outcomes"]["runs"]), "outcomes.runs.0: .*, but the number is"),
    "track version": (lambda e: e.update(track="small@2"), "track: made for small@2, lies in small@1"),
    "outcomes": (lambda e: e["outcomes"]["runs"].__setitem__(0, "1" * 20), "outcomes.runs.0: 20 of 20, but the number"),
    "longer outcomes": (
        lambda e: e["outcomes"].update(runs=[run + "-" for run in e["outcomes"]["runs"]]),
        "outcomes.runs: 21 test points, but the experiment has 20",
    ),
    "mean": (lambda e: e["results"][0].update(mean=0.99), "results.0.mean: 0.99, but its runs give"),
    "sd": (lambda e: e["results"][1].update(sd=0.0), "results.1.sd: 0.0, but its runs give"),
    "interval": (lambda e: e["results"][0].update(ci95=[0.4, 0.5]), "results.0.ci95: .*, but its runs give"),
    "level": (lambda e: e.update(level="reproduced"), "level: Input should be 'claimed'"),
    "another column": (lambda e: e["results"][1].update(metric="robust_accuracy"), "results.1: not accuracy"),
    "revision": (lambda e: e["results"][0].update(revision=7), "results.0.revision: 7, but transfer_rate is at 1 now"),
    "no value": (
        lambda e: (
            [run.update(value=None, k=None, n=None) for run in e["results"][0]["runs"]],
            e["results"][0].update(mean=None, sd=None, ci95=None),
        ),
        "results.0: what entries are ranked by has no value",
    ),
    "small run's seed": (lambda e: e["mini"].update(seed=9), "mini.run_id: .* is not the small run"),
    "small run's numbers": (lambda e: e["mini"]["numbers"].pop(), "mini.numbers: 2, but the track has 3 columns"),
    # What adds up in itself is not the entry that was checked any more: the page loses its level.
    "authors": (lambda e: e.update(authors=["Somebody Else"]), r"\| claimed"),
    "small run's value": (lambda e: e["mini"]["numbers"][2].update(value=0.9), r"\| claimed"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAMPERS)
def test_tampering_is_told_with_its_reason(kind: str, sound: Path, tmp_path: Path):
    tamper, reason = TAMPERS[kind]
    board = copied(sound, tmp_path)
    path = board / "entries" / "sound.json"
    value = json.loads(path.read_text())
    tamper(value)
    path.write_text(json.dumps(value))
    with pytest.raises(VerificationError, match=reason):
        leaderboard.build(tmp_path, check=True)


def test_what_was_not_tampered_with_passes(sound: Path, tmp_path: Path):
    copied(sound, tmp_path)
    assert leaderboard.build(tmp_path, check=True) == []
    assert resolved(cell()) == json.loads((sound / "entries" / "sound.json").read_text())["cell"]


def copied(sound: Path, folder: Path) -> Path:
    for path in sound.parent.rglob("*.*"):
        if path.is_file():
            place = folder / path.relative_to(sound.parent)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    return folder / sound.name


HOSTILE = ("<img src=x onerror=alert(1)>", "[a](https://evil)", "|x|", "`code`", "**bold**", "<!-- gone", "![i](j)")


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_in_any_text_is_shown_and_does_nothing(text: str, sound: Path, tmp_path: Path):
    """Names of entries begin with a letter; titles and texts of tracks are whatever they are."""
    board = copied(sound, tmp_path)
    path = board / "entries" / "sound.json"
    value = json.loads(path.read_text())
    value |= {"name": f"Sound {text}", "authors": [f"A {text}"], "software": [{"x": text}], "device": [{text: text}]}
    path.unlink()
    submit.save(submit.Entry.model_validate_json(json.dumps(value)), tmp_path)
    (board / "checks" / "sound.json").unlink()
    rules = (board / "track.yaml").read_text()
    for field, old in (("title", "A small track"), ("about", "For tests."), ("  title", "transfer rate")):
        assert f"{field}: {old}" in rules
        rules = rules.replace(f"{field}: {old}", f"{field}: {json.dumps(text)}", 1)
    (board / "track.yaml").write_text(rules)
    leaderboard.build(tmp_path)
    for page in (board / "README.md", tmp_path / "README.md"):
        shown = page.read_text().removeprefix(page.read_text().splitlines()[0])
        assert text not in shown
        assert "<" not in shown.replace("&lt;", "")
    table = [line for line in (board / "README.md").read_text().splitlines() if line.startswith("|")]
    assert len({line.count("|") - line.count(r"\|") for line in table}) == 1, "a bar in a text begins no column"
