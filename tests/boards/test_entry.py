import json
from pathlib import Path

import numpy as np
import pytest

from ntkbench import documents
from ntkbench.boards import submit
from ntkbench.boards.entry import Entry, read_entry
from ntkbench.boards.recompute import recompute
from ntkbench.boards.tracks import track
from ntkbench.errors import NtkbenchError, VerificationError
from tests.boards.test_track import TARGETS, written
from tests.examples.factory import cell, planned, store

RUNS = planned(cell(), range(3), width="32")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[track.Track, dict]:
    """A track and a sound entry, as JSON."""
    folder = tmp_path_factory.mktemp("made")
    rules = track.read(written(folder))
    entry = submit.make(rules, RUNS, store(folder, RUNS), folder, name="Sound")
    return rules, json.loads(documents.dump(entry))


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
    recompute(documents.accept(Entry, value, "x"), rules, "x")


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        ("schema", "ntkbench.entry/1", "schema: "),
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
        ("cells.0.run_ids.0", "r/../../../etc", "cells.0.run_ids.0: String should match"),
        ("cells.0.run_ids", ["r000000000000"], "there are 1 runs, but not as many numbers"),
        ("results", [], "results: Tuple should have at least 1"),
        ("cells", [], "cells: Tuple should have at least 1"),
        ("results.0.mean", "0.5", "results.0.mean: Input should be a valid number"),
        ("cells.0.results.0.runs.0.value", 0.123, "the value is 0.123, but k/n is"),
        ("cells.0.results.0.runs.0.k", 10**30, "cells.0.results.0.runs.0.k: "),
        ("cells.0.results.2.outcomes.0", "01!", "cells.0.results.2.outcomes.0: String should match"),
        ("cells.0.results.2.outcomes.0", "01-", "different numbers of test points"),
        ("cells.0.results.2.outcomes", ["01"], "outcomes: of 1 seeds, but there are 3"),
        ("points", "none", "points: "),
        ("points", None, "points: outcomes of unknown points"),
        ("cells.0.cell", [], "cells.0.cell: Input should be an object"),
        ("extra", 1, "extra: Extra inputs"),
    ],
)
def test_an_entry_of_wrong_form_is_an_error_that_names_the_field(made, path, new, message):
    with pytest.raises(NtkbenchError, match=message):
        documents.accept(Entry, changed(made[1], path, new), "x")


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        ("track", "small@2", "track: made for small@2, lies in small@1"),
        ("cells.0.cell.data.n_train", 50, "data.n_train: the track has 100, the runs have 50"),
        ("cells.0.cell.width", 4096, "run_ids: r.* is not the run of this cell and seed"),
        ("cells.0.cell.width", "wide", "cell: width: "),
        ("cells.0.label", "wide", "cells: wide; the track has cell"),
        ("cells.0.run_ids.1", "r000000000000", "run_ids: r000000000000 is not the run of this cell"),
        ("results.0.mean", 0.99, "results.0.mean: 0.99, but its runs give"),
        ("results.0.ci95", None, "results.0.ci95: None, but its runs give"),
        ("results.1.sd", 0.0, "results.1.sd: 0.0, but its runs give"),
        ("results.1.metric", "robust_accuracy", "results.1: not accuracy with target self"),
        ("results.0.runs.0", {"seed": 0, "value": 0.5, "k": 5, "n": 10}, "results.0.runs: not the mean over"),
        ("cells.0.results.0.where.eps", "2/255", "results.0: not transfer_rate with attack ntk, eps 8/255"),
        ("cells.0.results.0.runs.0.seed", 7, "results.0.runs: not the entry's seeds"),
        ("cells.0.results.0.revision", 9, "results.0.revision: 9, but transfer_rate is at"),
        ("cells.0.results.2.analysis", "x", "results.2.analysis: x is no transfer of it with a ceiling and a floor"),
        ("cells.0.results.2.outcomes.0", "1" * 20, "they give 1 of 20, but the number is"),
        ("cells.0.results.2.outcomes.0", "8" * 20, "outcomes: a digit above 7"),
        ("cells.0.results.2.outcomes.0", "-" * 20, "a seed of which no test point counts"),
    ],
)
def test_an_entry_that_does_not_add_up_fails_verification(made, path, new, message):
    entry = documents.accept(Entry, changed(made[1], path, new), "x")
    with pytest.raises(VerificationError, match=message):
        recompute(entry, made[0], "x")


def test_outcomes_are_there_where_they_are_needed_and_nowhere_else(made):
    """The digits of the normalized transfer give the transfer rate and the accuracy, too."""
    rules, value = made
    assert [result.get("outcomes") is not None for result in value["cells"][0]["results"]] == [False, False, True]
    more = changed(value, "cells.0.results.1.outcomes", ["1" * 20] * 3)
    with pytest.raises(VerificationError, match=r"results.1.outcomes: nothing follows from them"):
        recompute(documents.accept(Entry, more, "x"), rules, "x")
    none = changed(changed(value, "cells.0.results.2.outcomes", None), "points", None)
    with pytest.raises(VerificationError, match=r"results.2.outcomes: there are none"):
        recompute(documents.accept(Entry, none, "x"), rules, "x")


def test_values_leave_no_range(made):
    value = made[1]
    for seed in range(3):
        number = {"seed": seed, "value": 5.0, "k": None, "n": None}
        value = changed(value, f"cells.0.results.1.runs.{seed}", number)
    with pytest.raises(VerificationError, match=r"results.1.runs: a value outside of \[0.0, 1.0\]"):
        recompute(documents.accept(Entry, value, "x"), made[0], "x")


def test_too_few_seeds_and_columns_fail_verification(made):
    rules, value = made
    strict = rules.model_copy(update={"min_seeds": 5})
    with pytest.raises(VerificationError, match="seeds: 3 of at least 5"):
        recompute(documents.accept(Entry, value, "x"), strict, "x")
    fewer = changed(value, "results", value["results"][:2])
    with pytest.raises(VerificationError, match="results: 2, but the track has 3 columns"):
        recompute(documents.accept(Entry, fewer, "x"), rules, "x")
    fewer = changed(value, "cells.0.results", value["cells"][0]["results"][:1])
    with pytest.raises(VerificationError, match="results: 1, but the track has 3 columns and requirements"):
        recompute(documents.accept(Entry, changed(fewer, "points", None), "x"), rules, "x")


def test_round_off_is_no_difference(made):
    rules, value = made
    mean = float(np.nextafter(value["results"][0]["mean"], 1))
    recompute(documents.accept(Entry, changed(value, "results.0.mean", mean), "x"), rules, "x")


def test_an_entry_belongs_in_the_file_of_its_name(made, tmp_path: Path):
    path = tmp_path / "other.json"
    path.write_text(json.dumps(made[1]))
    with pytest.raises(NtkbenchError, match=r"belongs in sound.json"):
        read_entry(path)


# ---- several cells, requirements, checks ---------------------------------------------------------

WIDE = {"width": 64, "training": {"mode": "standard", "epochs": 20}}


@pytest.fixture(scope="module")
def several(tmp_path_factory) -> tuple[track.Track, dict]:
    """A track of two targets and a sound entry, as JSON."""
    folder = tmp_path_factory.mktemp("several")
    rules = track.read(written(folder, TARGETS))
    runs = [*planned(cell(), range(3), network="small"), *planned(cell(**WIDE), range(3), network="wide")]
    entry = submit.make(rules, runs, store(folder, runs), folder, name="Both")
    return rules, json.loads(documents.dump(entry))


def test_the_number_of_a_seed_is_the_mean_over_the_cells(several):
    rules, value = several
    recompute(documents.accept(Entry, value, "x"), rules, "x")
    for place, result in enumerate(value["results"]):
        small, wide = ([run["value"] for run in each["results"][place]["runs"]] for each in value["cells"])
        assert [run["value"] for run in result["runs"]] == pytest.approx(np.mean([small, wide], axis=0))
        assert {run["k"] for run in result["runs"]} == {None}


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        ("cells.1.cell.width", 65, "cells.wide: width: the track has 64, the runs have 65"),
        ("cells.1.cell.kernels.limit.ridge", 0.5, "kernels.limit.ridge: what is free is the same in all cells"),
        ("cells.1.cell.kernels.limit.ridge", 2.0, "cells.wide: kernels.limit.ridge: the track asks for at most 1"),
        ("cells.0.label", "wide", "cells: wide, wide; the track has small, wide"),
        ("results.0.runs.0.value", 0.5, "results.0.runs: not the mean over the entry's cells"),
        (
            "cells.1.failed",
            [{"code": "finite", "seed": 2, "detail": {"points": 3}}],
            r"cells.wide: check finite failed in seed 2 \(points 3\)",
        ),
    ],
)
def test_rules_hold_in_every_cell(several, path, new, message):
    entry = documents.accept(Entry, changed(several[1], path, new), "x")
    with pytest.raises(VerificationError, match=message):
        recompute(entry, several[0], "x")


def test_numbers_that_do_not_qualify_fail_verification(several):
    rules, value = several
    asked = rules.qualify[0].model_copy(update={"min": 0.99})
    strict = rules.model_copy(update={"qualify": (asked,)})
    with pytest.raises(VerificationError, match=r"cells.small: accuracy with target self is 0\.\d+ in seed 0;"):
        recompute(documents.accept(Entry, value, "x"), strict, "x")


def test_checks_that_may_fail_are_no_reason(several):
    rules, value = several
    value = changed(value, "cells.1.failed", [{"code": "gradients_not_zero", "seed": 2}])
    recompute(documents.accept(Entry, value, "x"), rules, "x")
