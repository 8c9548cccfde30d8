import json
from pathlib import Path

import numpy as np
import pytest

from ntkbench.bench import jsonfile, submit, track
from ntkbench.bench.entry import Entry, read_entry, recompute
from ntkbench.errors import NtkbenchError, VerificationError
from tests.bench.factory import cell, planned, store
from tests.bench.test_track import written

RUNS = planned(cell(), range(3), width="32")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[track.Track, dict]:
    """A track and a sound entry, as JSON."""
    folder = tmp_path_factory.mktemp("made")
    rules = track.read(written(folder))
    entry = submit.make(rules, RUNS, store(folder, RUNS), folder, name="Sound")
    return rules, json.loads(jsonfile.dump(entry))


def changed(value: dict, path: str, new) -> dict:
    """A copy with the value at a dotted path replaced."""
    copy = json.loads(json.dumps(value))
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place = copy
    for step in steps:
        place = place[step]
    place[last] = new
    return copy


def test_a_sound_entry_verifies(made):
    rules, value = made
    recompute(jsonfile.accept(Entry, value, "x"), rules, "x")


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        ("schema", "ntkbench.entry/2", "schema: "),
        ("name", "", "name: String should have at least 1"),
        ("name", "a\n# b", "names are printable"),
        ("name", "=HYPERLINK(1)", "begin with a letter or a digit"),
        ("name", "a\u202eb", "names are printable"),
        ("name", "x" * 81, "name: String should have at most 80"),
        ("authors", ["@everyone"], "begin with a letter or a digit"),
        ("links", ["javascript:alert(1)"], "links.0: String should match"),
        ("links", ["https://x/)[a](b"], "links.0: String should match"),
        ("level", "reproduced", "level: Input should be 'claimed'"),
        ("track", "../x@1", "track: String should match"),
        ("seeds", [0, 0, 1], "the same seed stands here twice"),
        ("seeds", [0, 1], "2 seeds, but not as many runs"),
        ("seeds", [0, 1, -2], "seeds.2: "),
        ("run_ids.0", "r/../../../etc", "run_ids.0: String should match"),
        ("results", [], "results: Tuple should have at least 1"),
        ("results.0.mean", "0.5", "results.0.mean: Input should be a valid number"),
        ("results.0.runs.0.value", 0.123, "the value is 0.123, but k/n is"),
        ("results.0.runs.0.k", 10**30, "results.0.runs.0.k: "),
        ("outcomes.runs.0", "01x", "outcomes.runs.0: String should match"),
        ("outcomes.runs.0", "01-", "different numbers of test points"),
        ("outcomes.points", "none", "outcomes.points: "),
        ("cell", [], "cell: Input should be an object"),
        ("extra", 1, "extra: Extra inputs"),
    ],
)
def test_an_entry_of_wrong_form_is_an_error_that_names_the_field(made, path, new, message):
    with pytest.raises(NtkbenchError, match=message):
        jsonfile.accept(Entry, changed(made[1], path, new), "x")


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        ("track", "small@2", "track: made for small@2, lies in small@1"),
        ("cell.data.n_train", 50, "data.n_train: the track has 100, the runs have 50"),
        ("cell.width", 4096, "run_ids: r.* is not the run of this cell and seed"),
        ("cell.width", "wide", "cell: width: "),
        ("run_ids.1", "r000000000000", "run_ids: r000000000000 is not the run of this cell"),
        ("results.0.mean", 0.99, "results.0.mean: 0.99, but its runs give"),
        ("results.0.ci95", None, "results.0.ci95: None, but its runs give"),
        ("results.1.sd", 0.0, "results.1.sd: 0.0, but its runs give"),
        ("results.1.metric", "robust_accuracy", "results.1: not accuracy with target self"),
        ("results.0.where.eps", "2/255", "results.0: not transfer_rate with attack ntk, eps 8/255"),
        ("results.0.runs.0.seed", 7, "results.0.runs: not the entry's seeds"),
        ("results.2.runs.0.value", 1e308, "results.2.mean: "),
        ("outcomes.runs.0", "1" * 20, "outcomes.runs.0: 20 of 20, but the number is"),
    ],
)
def test_an_entry_that_does_not_add_up_fails_verification(made, path, new, message):
    entry = jsonfile.accept(Entry, changed(made[1], path, new), "x")
    with pytest.raises(VerificationError, match=message):
        recompute(entry, made[0], "x")


def test_values_leave_no_range(made):
    value = made[1]
    for seed in range(3):
        value = changed(value, f"results.1.runs.{seed}", {"seed": seed, "value": 5.0, "k": None, "n": None})
    value = changed(changed(changed(value, "results.1.mean", 5.0), "results.1.sd", 0.0), "results.1.ci95", [5.0, 5.0])
    with pytest.raises(VerificationError, match=r"results.1.runs: a value outside of \[0.0, 1.0\]"):
        recompute(jsonfile.accept(Entry, value, "x"), made[0], "x")


def test_too_few_seeds_and_columns_fail_verification(made):
    rules, value = made
    strict = rules.model_copy(update={"min_seeds": 5})
    with pytest.raises(VerificationError, match="seeds: 3 of at least 5"):
        recompute(jsonfile.accept(Entry, value, "x"), strict, "x")
    fewer = changed(value, "results", value["results"][:2])
    with pytest.raises(VerificationError, match="results: 2, but the track has 3 columns"):
        recompute(jsonfile.accept(Entry, fewer, "x"), rules, "x")


def test_round_off_is_no_difference(made):
    rules, value = made
    mean = float(np.nextafter(value["results"][0]["mean"], 1))
    recompute(jsonfile.accept(Entry, changed(value, "results.0.mean", mean), "x"), rules, "x")


def test_an_entry_belongs_in_the_file_of_its_name(made, tmp_path: Path):
    path = tmp_path / "other.json"
    path.write_text(json.dumps(made[1]))
    with pytest.raises(NtkbenchError, match=r"belongs in sound.json"):
        read_entry(path)
