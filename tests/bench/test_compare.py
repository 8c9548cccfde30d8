import json
from pathlib import Path

import pytest

from ntkbench.bench import jsonfile, submit, track
from ntkbench.bench.compare import COUNTS, FEW, PAIRED, POINTS, SEEDS, compare, rows
from ntkbench.bench.entry import Entry, read_entry
from ntkbench.bench.statistics import difference, of_points, of_seeds
from ntkbench.errors import UsageError
from tests.bench.factory import cell, planned, store
from tests.bench.test_track import written


@pytest.fixture
def folder(tmp_path) -> Path:
    boards = tmp_path / "leaderboards"
    rules = track.read(written(boards))
    for name, width, seeds, rate in (("strong", 512, 4, 0.9), ("weak", 16, 3, 0.1)):
        runs = planned(cell(width=width), range(seeds), width=str(width))
        records = store(tmp_path / "records", runs, rate=rate)
        submit.save(submit.make(rules, runs, records, tmp_path / "records", name=name), boards)
    return boards


def entries(folder: Path) -> list[Entry]:
    return [read_entry(folder / "small@1" / "entries" / f"{name}.json") for name in ("strong", "weak")]


def changed(folder: Path, **update) -> None:
    path = folder / "small@1" / "entries" / "weak.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | update))


def test_each_number_has_the_method_that_fits_it(folder):
    a, b = entries(folder)
    found = rows(a, b, paired=True)
    assert [row.method for row in found] == [PAIRED, COUNTS, SEEDS]
    assert [row.method for row in rows(a, b, paired=False)] == [POINTS, COUNTS, SEEDS]
    assert a.outcomes
    assert b.outcomes
    matrices = of_points(a.outcomes.matrix()), of_points(b.outcomes.matrix())
    assert found[0].found == difference(*matrices, paired=True)
    values = [[run.value for run in entry.results[2].runs if run.value is not None] for entry in (a, b)]
    assert found[2].found == difference(*map(of_seeds, values), paired=False)


def test_the_comparison_in_words(folder):
    text = compare("small@1/strong", "small@1/weak", folder)
    lines = text.splitlines()
    assert lines[0] == "strong less weak"
    (rate,) = [line for line in lines if line.startswith("transfer_rate")]
    a, b = entries(folder)
    assert f"{a.results[0].mean:.3f} ± {a.results[0].sd:.3f} (4)" in rate
    assert f"{a.score - b.score:+.3f}" in rate
    assert "p, Holm: corrected for these 3" in text
    assert "protocol: the same, nothing that small@1 has frozen differs" in text
    assert "differs: width: 512 | 16" in text
    assert "differs: seeds: 0, 1, 2, 3 | 0, 1, 2" in text


def test_another_protocol_is_named(folder):
    value = json.loads((folder / "small@1" / "entries" / "weak.json").read_text())
    value["cell"]["numerics"]["kernel"] = "float32"
    changed(folder, cell=value["cell"], software=[{"ntkbench": "9"}])
    text = compare("small@1/strong", "small@1/weak", folder)
    assert "protocol: NOT the same, numerics.kernel differ, which small@1 has frozen" in text
    assert "differs: numerics.kernel: float64 | float32" in text
    assert "differs: software.ntkbench: 0.1.0 | 9" in text
    assert "differs: software.dirty: False | nothing" in text
    changed(folder, software=[{"ntkbench": "9"}, {"ntkbench": "8"}])
    told = compare("small@1/strong", "small@1/weak", folder)
    assert '| [{"ntkbench": "9"}, {"ntkbench": "8"}]' in told
    changed(folder, track="small@2")
    assert "small@1 and small@2 are different tracks" in compare("small@1/strong", "small@1/weak", folder)


def test_other_test_points_are_not_paired(folder):
    value = json.loads((folder / "small@1" / "entries" / "weak.json").read_text())
    changed(folder, outcomes=value["outcomes"] | {"points": "0" * 64})
    with pytest.raises(UsageError, match="different test points and cannot be paired; --unpaired compares"):
        compare("small@1/strong", "small@1/weak", folder)
    assert POINTS in compare("small@1/strong", "small@1/weak", folder, paired=False)


def test_one_seed_of_a_number_that_is_no_share_has_no_interval(folder):
    a, b = entries(folder)
    value = json.loads(jsonfile.dump(b))
    value |= {"seeds": value["seeds"][:1], "run_ids": value["run_ids"][:1]}
    value["outcomes"]["runs"] = value["outcomes"]["runs"][:1]
    for result in value["results"]:
        result["runs"] = result["runs"][:1]
    found = rows(a, jsonfile.accept(Entry, value, "x"), paired=True)
    assert [(row.method, row.found is None) for row in found] == [(PAIRED, False), (COUNTS, False), (FEW, True)]


def test_nothing_in_common_is_a_mistake(folder):
    value = json.loads((folder / "small@1" / "entries" / "weak.json").read_text())
    changed(folder, results=[{**result, "metric": f"x{result['metric']}"} for result in value["results"]])
    with pytest.raises(UsageError, match="share no number"):
        compare("small@1/strong", "small@1/weak", folder)


def test_foreign_text_is_shown_and_does_nothing(folder):
    changed(folder, software=[{"x": "<b>|`a`\u202e"}])
    text = compare("small@1/strong", "small@1/weak", folder, form="md")
    assert r"&lt;b&gt;\|\`a\`" in text
    assert "\u202e" not in text + compare("small@1/strong", "small@1/weak", folder)
