import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ntkbench.boards import standings, verify
from ntkbench.boards.entry import Entry, read_entry
from ntkbench.boards.pages import build
from ntkbench.boards.ranking.ranks import ranking
from ntkbench.boards.ranking.scores import pairing, scores
from ntkbench.boards.tracks import track
from ntkbench.errors import UsageError, VerificationError
from tests.boards.test_track import TARGETS, TEXT, written
from tests.examples.boards import entered, three
from tests.examples.factory import cell, planned


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three entries: two that are alike and one far below."""
    boards = tmp_path / "leaderboards"
    three(boards, track.read(written(boards)))
    return boards


def pages(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.suffix in (".md", ".csv")
    }


def rows(folder: Path, board: str = "small@1") -> list[list[str]]:
    lines = (folder / board / "README.md").read_text().splitlines()
    table = [line.replace(r"\|", "¦").strip("|").split("|") for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in table]


def table(folder: Path, board: str = "small@1") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / board / "table.csv").read_text())))


def test_ranks_are_sets(folder):
    build(folder)
    shown = rows(folder)
    assert shown[0] == ["rank", "entry", "transfer rate", "clean accuracy", "normalized", "seeds", "level"]
    assert [row[0] for row in shown[2:]] == ["1-2 †", "1-2 †", "3"]
    assert shown[4][1] == "[narrow](entries/narrow.json)"
    assert all(row[5] == "4" for row in shown[2:])
    assert shown[4][6] == "[reproduced (1 of 4 seeds)](checks/narrow.json)"
    assert [(row["best rank"], row["worst rank"]) for row in table(folder)] == [("1", "2"), ("1", "2"), ("3", "3")]


def test_numbers_in_the_table_are_those_of_the_ranking(folder):
    build(folder)
    rules = track.read(folder / "small@1")
    entries = [entry for entry, _ in standings.entries(folder / "small@1", rules)]
    made = ranking([scores(entry, rules) for entry in entries], descending=True, scale="share")
    place = [entry.name for entry in entries].index("narrow")
    entry, shown = entries[place], rows(folder)[4]
    assert shown[2] == f"{made.estimate[place]:.3f} [{made.low[place]:.3f}, {made.high[place]:.3f}]"
    assert made.estimate[place] == pytest.approx(entry.score)
    assert shown[3] == f"{entry.results[1].mean:.3f} ± {entry.results[1].sd:.3f} (4)"
    line = table(folder)[2]
    assert (line["entry"], float(line["transfer rate estimate"])) == ("narrow", pytest.approx(entry.score))
    assert float(line["transfer rate low"]) < entry.score < float(line["transfer rate high"])


def test_names_are_escaped(tmp_path):
    rules = track.read(written(tmp_path))
    entered(tmp_path, rules, "Wide <b>|</b>", planned(cell(), range(3)))
    build(tmp_path)
    text = (tmp_path / "small@1" / "README.md").read_text() + (tmp_path / "README.md").read_text()
    assert r"Wide &lt;b&gt;\|&lt;/b&gt;" in text
    assert "<b>" not in text


def test_pages_say_what_columns_mean_and_how_to_submit(folder):
    build(folder)
    text = (folder / "small@1" / "README.md").read_text()
    for words in (
        "on 20 test points",
        "At least 3 seeds",
        "ntkbench submit",
        "specs/small.yaml",
        "Level *claimed*",
        "2 of the 3 pairs of ranked entries are told apart, at a chance of 5 %",
        "†: cannot be told from the entry with the best estimate",
        "Every run of an entry has no failed check.",
        "share of the counted test points that the attack turns wrong".capitalize(),
    ):
        assert words in text
    index = (folder / "README.md").read_text()
    assert "[small@1](small@1/README.md)" in index
    assert "| 2 of 3 " in index
    assert "wider" in index


def test_pages_are_a_function_of_the_entries(folder):
    assert {path.name for path in build(folder)} == {"README.md", "table.csv"}
    first = pages(folder)
    assert build(folder) == []
    for path in folder.rglob("README.md"):
        path.unlink()
    build(folder)
    assert pages(folder) == first


def test_check_reports_drift_and_writes_nothing(folder):
    with pytest.raises(VerificationError, match=r"README.md: is not there"):
        build(folder, check=True)
    assert pages(folder) == {}
    build(folder)
    assert build(folder, check=True) == []
    page = folder / "small@1" / "README.md"
    better = page.read_text().replace("0.9", "1.0", 1)
    page.write_text(better)
    with pytest.raises(VerificationError) as caught:
        build(folder, check=True)
    assert "ntkbench leaderboard build" in str(caught.value)
    assert any(line.startswith("-| 1") for line in str(caught.value).splitlines())
    assert page.read_text() == better


def test_a_track_without_entries_has_a_page(tmp_path):
    written(tmp_path)
    build(tmp_path)
    assert "No entries yet." in (tmp_path / "small@1" / "README.md").read_text()


def test_no_tracks_is_a_mistake(tmp_path):
    with pytest.raises(UsageError, match="no tracks"):
        build(tmp_path)


def test_everything_wrong_is_told_at_once_and_nothing_is_written(folder):
    entries = folder / "small@1" / "entries"
    value = json.loads((entries / "narrow.json").read_text())
    value["results"][0]["mean"] = 0.99
    (entries / "narrow.json").write_text(json.dumps(value))
    (entries / "torn.json").write_bytes((entries / "wider.json").read_bytes()[:100])
    written(folder, TEXT.replace("min_seeds: 3", "min_seeds: x"), name="other@1")
    with pytest.raises(VerificationError) as caught:
        build(folder)
    for words in ("narrow.json: results.0.mean: 0.99", "torn.json: Invalid JSON", "other@1/track.yaml: min_seeds"):
        assert words in str(caught.value)
    assert pages(folder) == {}


def test_the_same_runs_twice_and_other_test_points_are_told(folder):
    entries = folder / "small@1" / "entries"
    value = json.loads((entries / "wider.json").read_text())
    (entries / "copy.json").write_text(json.dumps(value | {"name": "copy"}))
    other = json.loads((entries / "narrow.json").read_text())
    (entries / "narrow.json").write_text(json.dumps(other | {"points": "0" * 64}))
    with pytest.raises(VerificationError) as caught:
        build(folder)
    assert "wider.json: run_ids: runs of copy.json" in str(caught.value)
    assert "narrow.json: points: judged on other test points than copy.json" in str(caught.value)


def test_lower_first_turns_the_order_around(folder):
    path = folder / "small@1" / track.FILE
    path.write_text(path.read_text().replace("order: descending", "order: ascending"))
    build(folder)
    assert [(row[0], row[1].startswith("[narrow]")) for row in rows(folder)[2:]] == [
        ("1 †", True),
        ("2-3", False),
        ("2-3", False),
    ]


def test_what_nobody_has_run_again_has_no_rank_and_is_in_no_test(tmp_path):
    rules = track.read(written(tmp_path))
    three(tmp_path, rules)
    runs = planned(cell(width=64), range(4), width="64")
    entered(tmp_path, rules, "claims", runs, rate=1.0, again=None)
    build(tmp_path)
    first, *others = rows(tmp_path)[2:]
    assert (first[0], first[1], first[-1]) == ("–", "[claims](entries/claims.json)", "claimed")
    assert [row[0] for row in others] == ["1-2 †", "1-2 †", "3"]
    assert table(tmp_path)[0]["best rank"] == ""


# ---- references ----------------------------------------------------------------------------------


def test_references_stand_at_their_place_without_a_rank(tmp_path):
    """An entry, a number by definition, and a column of the entries."""
    text = TEXT + "references:\n  narrow: {about: the floor}\n  random: {about: no attack, value: 0}\n"
    text += "  constant: {about: says one class, column: clean accuracy}\n"
    three(tmp_path, track.read(written(tmp_path, text)))
    build(tmp_path)
    shown = {row[1].strip("*"): row for row in rows(tmp_path)[2:]}
    assert shown["[narrow](entries/narrow.json)"][0] == "ref"
    assert shown["random"][:3] == ["ref", "*random*", "0.000"]
    clean = [json.loads(path.read_text())["results"][1]["mean"] for path in (tmp_path / "small@1").glob("entries/*")]
    assert shown["constant"][2] == f"{np.mean(clean):.3f}"
    assert shown["[wider](entries/wider.json)"][0] == "1-2 †"
    values = [float(row[2].split()[0]) for row in rows(tmp_path)[2:]]
    assert values == sorted(values, reverse=True)
    page = (tmp_path / "small@1" / "README.md").read_text()
    assert "0 of the 1 pairs of ranked entries" in page
    assert "Reference, without a rank and in no test: random, no attack" in page
    assert {row["entry"]: row["level"] for row in table(tmp_path)}["random"] == "reference"


DRIFT = TEXT.replace("metric: transfer_rate", "metric: normalized_transfer").replace(
    "  where: {attack: ntk, eps: 8/255, denominator: target_correct}",
    "  where: {attack: ntk, eps: 8/255}\n  scale: log",
)


def test_ratios_are_compared_on_the_log_scale(tmp_path):
    rules = track.read(written(tmp_path, DRIFT))
    entries = three(tmp_path, rules)
    build(tmp_path)
    (narrow,) = (row for row in table(tmp_path) if row["entry"] == "narrow")
    mean = np.exp(np.mean(np.log(entries[2].values)))
    assert float(narrow["transfer rate estimate"]) == pytest.approx(mean)
    assert "the geometric mean over seeds" in (tmp_path / "small@1" / "README.md").read_text()


# ---- what varies together ------------------------------------------------------------------------


def ids(rules: track.Track, *cells) -> tuple[str, ...]:
    return pairing(rules, cells, (0, 1))


def test_seeds_pair_where_they_draw_the_same_networks(tmp_path):
    rules = track.read(written(tmp_path))
    one = ids(rules, cell())
    assert len(set(one)) == 2
    assert ids(rules, cell(training={"mode": "standard", "epochs": 99}, kernels={})) == one
    for other in (
        cell(width=33),
        cell(architecture={"kind": "fc", "depth": 2}),
        cell(architecture={"kind": "fc", "depth": 1, "parameterization": "standard"}),
        cell(numerics={"network": "float64"}),
    ):
        assert not set(ids(rules, other)) & set(one)
    assert ids(rules, cell(width=None, training={"mode": "none"})) == ids(
        rules, cell(width=None, training={"mode": "none"}, architecture={"kind": "fc", "depth": 3})
    )


def test_seeds_pair_by_the_networks_of_all_targets(tmp_path):
    rules = track.read(written(tmp_path, TARGETS))
    kernel = {"limit": {"kind": "infinite", "ridge": 1}}
    assert ids(rules, cell(), cell(width=64)) == ids(rules, cell(kernels=kernel), cell(width=64, kernels=kernel))
    assert ids(rules, cell(), cell(width=64)) != ids(rules, cell(), cell(width=65))


def test_seeds_of_subsets_pair_by_the_subset(tmp_path):
    rules = track.read(written(tmp_path, TEXT + "seed_of: data\n"))
    assert ids(rules, cell(width=33)) == ids(rules, cell())
    data = {"dataset": "fashion_mnist_mini", "classes": ["sneaker", "ankle_boot"], "n_train": 60, "n_test": 20}
    assert ids(rules, cell(data=data)) != ids(rules, cell())


def test_an_entry_of_several_cells_is_scored_by_their_mean(tmp_path):
    rules = track.read(written(tmp_path, TARGETS))
    wide = cell(width=64, training={"mode": "standard", "epochs": 20})
    runs = [*planned(cell(), range(3), network="small"), *planned(wide, range(3), network="wide")]
    entry = entered(tmp_path, rules, "both", runs)
    made = scores(entry, rules)
    each = np.array([[run.value for run in of.results[0].runs] for of in entry.cells], float)
    assert made.values.tolist() == pytest.approx(np.mean(each, axis=0))
    assert made.influence is not None
    assert made.influence.shape == (3, 20)
    alone = [scores(one_cell(entry, place), track.read(written(tmp_path, TEXT, f"one@{place}"))) for place in (0, 1)]
    known = [one.influence for one in alone if one.influence is not None]
    np.testing.assert_allclose(made.influence, np.mean(known, axis=0))


def one_cell(entry: Entry, place: int) -> Entry:
    of = entry.cells[place]
    return entry.model_copy(update={"cells": (of,), "results": tuple(_result(entry, of, i) for i in range(3))})


def _result(entry: Entry, of, place: int):
    return entry.results[place].model_copy(update={"runs": of.results[place].runs})


# ---- what is in the repository -------------------------------------------------------------------


@pytest.mark.skipif(not any(Path("leaderboards").glob("*@*/track.yaml")), reason="there is no track yet")
def test_the_tables_of_the_repository_are_up_to_date():
    build(Path("leaderboards"), check=True)


@pytest.mark.slow
def test_thousands_of_entries_take_seconds():
    root = Path(__file__).parent.parent.parent
    command = [sys.executable, str(root / "benchmarks" / "leaderboard.py"), "500"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root, env=environment)
    (many,) = (float(line.split()[-2]) for line in done.stdout.splitlines() if line.endswith(" s"))
    assert many < 60


def test_the_ledger_is_read_without_jax():
    modules = "vocabulary uncertainty documents render store.record store.arrays results.tables results.show"
    modules += " boards.tracks.track boards.entry boards.submit boards.pages boards.standings boards.verify"
    modules += " boards.compare boards.outcomes boards.recompute boards.ranking.scores"
    code = (
        f"import sys, importlib\nfor name in {modules!r}.split(): importlib.import_module('ntkbench.' + name)\n"
        "print([name for name in ('jax', 'equinox', 'pandas', 'scipy', 'matplotlib') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_number_without_outcomes_is_compared_over_seeds(tmp_path):
    text = TEXT.replace("  metric: transfer_rate", "  metric: gradient_cosine").replace(
        "  where: {attack: ntk, eps: 8/255, denominator: target_correct}", "  where: {attack: ntk}"
    )
    rules = track.read(written(tmp_path, text.replace("tolerance: {", "tolerance: {cosine: 0.05, ")))
    assert not rules.by_point
    assert rules.rank.on == "linear"
    build(tmp_path)
    assert (
        "its 95 % interval, over seeds alone, inside of the metric's range."
        in (tmp_path / "small@1" / "README.md").read_text()
    )


def test_levels_are_judged_beside_the_entries(folder):
    rules = track.read(folder / "small@1")
    found = {entry.name: str(level) for entry, level in standings.entries(folder / "small@1", rules)}
    assert found == dict.fromkeys(("Wide", "wider", "narrow"), "reproduced (1 of 4 seeds)")
    entry = read_entry(folder / "small@1" / "entries" / "wide.json")
    assert verify.judge(rules, entry, None, "x").level == "claimed"
