"""Whoever changes a number of an entry is told so by `leaderboard build --check`, with the reason."""

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ntkbench import documents
from ntkbench.boards import checks, pages, submit, verify
from ntkbench.boards.entry import Entry, EntryCell, summarize
from ntkbench.boards.tracks import track
from ntkbench.errors import VerificationError
from ntkbench.spec.cell import Cell
from ntkbench.spec.identity import resolved, run_ids
from ntkbench.store import record
from ntkbench.text import slug
from tests.boards.test_track import written
from tests.examples.factory import a_record, cell, outcomes, planned, store, valid

Tamper = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """A board with one entry whose first seed was run again, and its small run."""
    tmp = tmp_path_factory.mktemp("sound")
    folder = written(tmp / "leaderboards")
    rules, runs = track.read(folder), planned(cell(), range(3), width="32")
    records = store(tmp, runs)
    entry = submit.make(rules, runs, records, tmp, name="Sound")
    (small,) = verify.small(rules, entry)
    again = valid(a_record(small, outcomes(np.random.default_rng(0))))
    entry = verify.with_mini(entry, rules, [again])
    submit.save(entry, folder.parent)
    checks.save(folder, entry, [verify.rerun(rules, entry, each, tmp) for each in (again, records[0])])
    pages.build(folder.parent)
    return folder


def numbers(value: dict[str, Any], place: int) -> dict[str, Any]:
    """A number of the only cell."""
    return value["cells"][0]["results"][place]


def another_cell(value: dict[str, Any], path: str, new: Any) -> None:
    """Another experiment, with the run ids it should have."""
    of = value["cells"][0]
    section, _, name = path.rpartition(".")
    place = of["cell"]
    for step in section.split(".") if section else ():
        place = place[step]
    place[name] = new
    of["run_ids"] = list(run_ids(Cell.model_validate(of["cell"]), value["seeds"]))


def recounted(value: dict[str, Any], place: int, seed: int, k: int, n: int) -> None:
    """A count of a seed changed, and the value, the columns and their means with it."""
    numbers(value, place)["runs"][seed].update(k=k, n=n, value=k / n)
    summed(value)


def summed(value: dict[str, Any]) -> None:
    """The table's numbers, made anew from those of the cell."""
    of = EntryCell.model_validate_json(json.dumps(value["cells"][0]))
    value["results"] = [summarize([each]).model_dump(mode="json") for each in of.results]


def forged(value: dict[str, Any], rate: float, seeds: Sequence[int]) -> None:
    """Outcomes of so many points turned wrong in some seeds, and every number that follows from them."""
    of = numbers(value, 2)
    for seed in seeds:
        text = list(of["outcomes"][seed])
        counted = [i for i, digit in enumerate(text) if digit != "-"]
        wrong = round(rate * len(counted))
        for i, place in enumerate(counted):
            text[place] = str(int(text[place]) & 6 | (i < wrong))
        of["outcomes"][seed] = "".join(text)
        of["runs"][seed]["value"] = wrong / len(counted)
        numbers(value, 0)["runs"][seed].update(k=wrong, value=wrong / len(counted))
    summed(value)


def checked(value: dict[str, Any], seeds: Sequence[int]) -> dict[str, Any]:
    """A check written by hand: the entry's own numbers, as if somebody had measured them."""
    entry = documents.accept(Entry, value, "forged")
    facts = {"software": {}, "device": {}, "date": "2026-01-01", "label": "cell", "kind": "seed"}
    results = entry.cells[0].results
    reruns = [
        facts
        | {"seed": seed, "run_id": entry.cells[0].run_ids[seed]}
        | {"numbers": [each.runs[seed].model_dump(include={"value", "k", "n"}) for each in results]}
        | {"outcomes": [each.outcomes and each.outcomes[seed] for each in results]}
        for seed in seeds
    ]
    return {"schema": "ntkbench.check/2", "entry": checks.checksum(entry), "reruns": reruns}


def swapped(runs: list) -> None:
    runs[0], runs[1] = runs[1], runs[0]


TAMPERS: dict[str, tuple[Tamper, str]] = {
    "value": (lambda e: numbers(e, 0)["runs"][0].update(value=0.99), "the value is 0.99, but k/n is"),
    "value without counts": (lambda e: numbers(e, 2)["runs"][0].update(value=0.99), "but the number is 0.99"),
    "count k": (lambda e: numbers(e, 1)["runs"][0].update(k=3), "but k/n is 3/20"),
    "count n": (lambda e: numbers(e, 1)["runs"][0].update(n=19), "but k/n is .*/19"),
    "count, consistently": (lambda e: recounted(e, 0, 0, 1, 19), "results.0.outcomes: seed 0: they give"),
    "frozen field": (lambda e: another_cell(e, "data.n_train", 99), "data.n_train: the track has 100, the runs"),
    "free field": (lambda e: e["cells"][0]["cell"].update(width=33), "run_ids: .* is not the run of this cell"),
    "free field, with ids": (lambda e: another_cell(e, "width", 33), "mini.run_id: .* is not the small run"),
    "seed list": (lambda e: e.update(seeds=[0, 1, 5]), "run_ids: .* is not the run of this cell and seed"),
    "seed left out": (lambda e: e.update(seeds=[0, 1]), "there are 2 seeds, but not as many runs"),
    "swapped seeds": (lambda e: swapped(e["seeds"]), "run_ids: .* is not the run of this cell and seed"),
    "swapped runs": (lambda e: (swapped(e["seeds"]), swapped(e["cells"][0]["run_ids"])), "runs: not the entry's seeds"),
    "swapped outcomes": (lambda e: swapped(numbers(e, 2)["outcomes"]), "outcomes: seed 0: they give .*, but the"),
    "track version": (lambda e: e.update(track="small@2"), "track: made for small@2, lies in small@1"),
    "outcomes": (lambda e: numbers(e, 2)["outcomes"].__setitem__(0, "1" * 20), "they give 1 of 20, but the number is"),
    "longer outcomes": (
        lambda e: numbers(e, 2).update(outcomes=[run + "-" for run in numbers(e, 2)["outcomes"]]),
        "outcomes: 21 test points, but the experiment has 20",
    ),
    "mean": (lambda e: e["results"][0].update(mean=0.99), "results.0.mean: 0.99, but its runs give"),
    "sd": (lambda e: e["results"][1].update(sd=0.0), "results.1.sd: 0.0, but its runs give"),
    "interval": (lambda e: e["results"][0].update(ci95=[0.4, 0.5]), "results.0.ci95: .*, but its runs give"),
    "level": (lambda e: e.update(level="reproduced"), "level: Input should be 'claimed'"),
    "another column": (lambda e: numbers(e, 1).update(metric="robust_accuracy"), "results.1: not accuracy"),
    "revision": (lambda e: numbers(e, 0).update(revision=7), "results.0.revision: 7, but transfer_rate is at"),
    "no value": (
        lambda e: ([run.update(value=None, k=None, n=None) for run in numbers(e, 0)["runs"]], summed(e)),
        "results.0: what entries are ranked by has no value",
    ),
    "small run's seed": (lambda e: e["mini"].update(seed=9), "mini.run_id: .* is not the small run"),
    "small run's numbers": (lambda e: e["mini"]["runs"][0]["numbers"].pop(), "mini.numbers: 2, but the track has 3"),
    # What adds up in itself is not the entry that was checked any more: it loses its level, and its rank.
    "authors": (lambda e: e.update(authors=["Somebody Else"]), r"\| claimed"),
    "small run's value": (lambda e: e["mini"]["runs"][0]["numbers"][2].update(value=0.9), r"\| claimed"),
    "rates": (lambda e: forged(e, 0.95, range(3)), r"\+\| –.*\| claimed"),
    "rates of two seeds": (lambda e: forged(e, 0.95, range(1, 3)), r"\+\| –.*\| claimed"),
    "one point a seed": (
        lambda e: ([recounted(e, place, seed, 1, 1) for place in (0, 1) for seed in range(3)]),
        "runs: of 1 test points, but the experiment has 20",
    ),
    "accuracy without counts": (
        lambda e: ([run.update(value=1.0, k=None, n=None) for run in numbers(e, 1)["runs"]], summed(e)),
        "results.1.runs: a share of test points without its counts",
    ),
    "normalized without outcomes": (
        lambda e: ([run.update(value=9.9, n=None) for run in numbers(e, 2)["runs"]], summed(e)),
        "results.2.outcomes: nothing follows from them",
    ),
    "counts within the tolerance": (lambda e: forged(e, 0.6, [0]), r"\| claimed"),
    "an unused kernel": (
        lambda e: (another_cell(e, "kernels.more", {"kind": "infinite"}), e.pop("mini"), e.update(name="Another")),
        "every number of every seed is that of another.json|every number of every seed is that of sound.json",
    ),
    "one epoch more": (
        lambda e: (another_cell(e, "training.epochs", 11), e.pop("mini"), e.update(name="Another")),
        "every number of every seed is that of another.json|every number of every seed is that of sound.json",
    ),
    "a width that nobody can run": (lambda e: (another_cell(e, "width", 10**9), e.pop("mini")), r"\+\| –.*\| claimed"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAMPERS)
def test_tampering_is_told_with_its_reason(kind: str, sound: Path, tmp_path: Path):
    tamper, reason = TAMPERS[kind]
    board = copied(sound, tmp_path)
    path = board / "entries" / "sound.json"
    value = json.loads(path.read_text())
    tamper(value)
    (board / "entries" / f"{slug(value['name'])}.json").write_text(json.dumps(value))
    with pytest.raises(VerificationError, match=reason):
        pages.build(tmp_path, check=True)


def test_what_was_not_tampered_with_passes(sound: Path, tmp_path: Path):
    copied(sound, tmp_path)
    assert pages.build(tmp_path, check=True) == []
    assert resolved(cell()) == json.loads((sound / "entries" / "sound.json").read_text())["cells"][0]["cell"]


def test_a_check_written_by_hand_is_found_by_running_a_seed_that_was_drawn(sound: Path, tmp_path: Path):
    """The page cannot know; who runs a seed again does, so levels count only where the project's workflow made them."""
    board = copied(sound, tmp_path)
    path = board / "entries" / "sound.json"
    value = json.loads(path.read_text())
    forged(value, 0.95, range(3))
    path.write_text(json.dumps(value))
    (board / "checks" / "sound.json").write_text(json.dumps(checked(value, range(3))))
    pages.build(tmp_path)
    assert "reproduced (3 of 3 seeds)" in (board / "README.md").read_text()
    _, rules, entry = verify.claim("small@1/sound", tmp_path)
    seed = verify.drawn(entry, "the commit that merged it")
    true = record.read(sound.parent.parent / f"{entry.cells[0].run_ids[seed]}.json")
    with pytest.raises(VerificationError, match="does not give the entry's numbers"):
        verify.conclude(board, rules, entry, [verify.rerun(rules, entry, true, sound.parent.parent)])


def test_outcomes_rearranged_are_found_by_running_a_seed(sound: Path, tmp_path: Path):
    """Every number stays as it is; the points that it is made of do not."""
    board = copied(sound, tmp_path)
    path = board / "entries" / "sound.json"
    value = json.loads(path.read_text())
    value["cells"][0]["results"][2]["outcomes"] = [run[::-1] for run in numbers(value, 2)["outcomes"]]
    path.write_text(json.dumps(value))
    with pytest.raises(VerificationError, match=r"\| claimed"):
        pages.build(tmp_path, check=True)
    _, rules, entry = verify.claim("small@1/sound", tmp_path)
    true = record.read(sound.parent.parent / f"{entry.cells[0].run_ids[0]}.json")
    with pytest.raises(VerificationError, match="does not give the entry's numbers"):
        verify.conclude(board, rules, entry, [verify.rerun(rules, entry, true, sound.parent.parent)])


def test_a_tolerance_that_allows_everything_is_no_track(sound: Path, tmp_path: Path):
    board = copied(sound, tmp_path)
    rules = (board / "track.yaml").read_text()
    (board / "track.yaml").write_text(rules.replace("fraction: 0.01", "fraction: 1.0"))
    with pytest.raises(VerificationError, match=r"tolerance.fraction: at most 0.05"):
        pages.build(tmp_path, check=True)


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
    submit.save(Entry.model_validate_json(json.dumps(value)), tmp_path)
    (board / "checks" / "sound.json").unlink()
    rules = (board / "track.yaml").read_text()
    for field, old in (("title", "A small track"), ("about", "For tests."), ("  title", "transfer rate")):
        assert f"{field}: {old}" in rules
        rules = rules.replace(f"{field}: {old}", f"{field}: {json.dumps(text)}", 1)
    (board / "track.yaml").write_text(rules)
    pages.build(tmp_path)
    for page in (board / "README.md", tmp_path / "README.md"):
        shown = page.read_text().removeprefix(page.read_text().splitlines()[0])
        assert text not in shown
        assert "<" not in shown.replace("&lt;", "")
    table = [line for line in (board / "README.md").read_text().splitlines() if line.startswith("|")]
    assert len({line.count("|") - line.count(r"\|") for line in table}) == 1, "a bar in a text begins no column"


@pytest.mark.parametrize(
    ("paths", "refused"),
    [
        (["leaderboards/small@1/entries/a.json", "leaderboards/small@1/README.md"], False),
        (["leaderboards/small@1/entries/a.json", "leaderboards/small@1/checks/a.json"], True),
        (["leaderboards/small@1/track.yaml"], True),
        ([], False),
    ],
)
def test_a_submission_that_brings_levels_or_rules_is_refused(paths: list[str], refused: bool):
    script = Path(__file__).parents[2] / ".ci" / "entries-alone"
    done = subprocess.run([script], input="".join(f"{path}\n" for path in paths), capture_output=True, text=True)
    assert done.returncode == refused
    assert (paths[-1] in done.stderr) == refused if paths else not done.stderr
