import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ntkbench.bench import leaderboard, submit, track
from ntkbench.errors import UsageError, VerificationError
from tests.bench.factory import cell, planned, store
from tests.bench.test_track import TEXT, written


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three entries: two that are alike and one far below."""
    boards = tmp_path / "leaderboards"
    rules = track.read(written(boards))
    for name, width, rate in (("Wide <b>|</b>", 512, 0.9), ("wider", 1024, 0.89), ("narrow", 16, 0.1)):
        runs = planned(cell(width=width), range(4), width=str(width))
        records = store(tmp_path / "records", runs, rate=rate)
        submit.save(submit.make(rules, runs, records, tmp_path / "records", name=name), boards)
    return boards


def pages(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.suffix in (".md", ".csv")
    }


def rows(folder: Path) -> list[list[str]]:
    lines = (folder / "small@1" / "README.md").read_text().splitlines()
    table = [line.replace(r"\|", "¦").strip("|").split("|") for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in table]


def test_the_board_ranks_with_ties(folder):
    leaderboard.build(folder)
    table = rows(folder)
    assert table[0] == ["rank", "entry", "transfer rate", "clean accuracy", "normalized", "seeds", "level"]
    assert [row[0] for row in table[2:]] == ["1", "1", "3"]
    assert table[4][1] == "[narrow](entries/narrow.json)"
    assert all(row[5:] == ["4", "claimed"] for row in table[2:])


def test_numbers_in_the_table_are_those_of_the_entries(folder):
    leaderboard.build(folder)
    entry = json.loads((folder / "small@1" / "entries" / "narrow.json").read_text())
    shown = rows(folder)[4]
    assert shown[2].startswith(f"{entry['results'][0]['mean']:.3f} [0.")
    assert shown[3] == f"{entry['results'][1]['mean']:.3f} ± {entry['results'][1]['sd']:.3f} (4)"
    line = list(csv.DictReader(io.StringIO((folder / "small@1" / "table.csv").read_text())))[2]
    assert (line["rank"], line["entry"], float(line["transfer rate mean"])) == (
        "3",
        "narrow",
        entry["results"][0]["mean"],
    )
    assert float(line["transfer rate low"]) < float(line["transfer rate mean"]) < float(line["transfer rate high"])


def test_names_are_escaped(folder):
    leaderboard.build(folder)
    text = (folder / "small@1" / "README.md").read_text() + (folder / "README.md").read_text()
    assert r"Wide &lt;b&gt;\|&lt;/b&gt;" in text
    assert "<b>" not in text


def test_pages_say_what_columns_mean_and_how_to_submit(folder):
    leaderboard.build(folder)
    text = (folder / "small@1" / "README.md").read_text()
    for words in (
        "on 20 test points",
        "At least 3 seeds",
        "ntkbench submit",
        "specs/small.yaml",
        "Level *claimed*",
        "p below 0.05 / 3. That is Bonferroni's correction for all 3 pairs of the 3 entries",
        "share of the counted test points that the attack turns wrong".capitalize(),
    ):
        assert words in text
    index = (folder / "README.md").read_text()
    assert "[small@1](small@1/README.md)" in index
    assert "wider" in index


def test_pages_are_a_function_of_the_entries(folder):
    assert {path.name for path in leaderboard.build(folder)} == {"README.md", "table.csv"}
    first = pages(folder)
    assert leaderboard.build(folder) == []
    for path in folder.rglob("README.md"):
        path.unlink()
    leaderboard.build(folder)
    assert pages(folder) == first


def test_check_reports_drift_and_writes_nothing(folder):
    with pytest.raises(VerificationError, match=r"README.md: is not there"):
        leaderboard.build(folder, check=True)
    assert pages(folder) == {}
    leaderboard.build(folder)
    assert leaderboard.build(folder, check=True) == []
    page = folder / "small@1" / "README.md"
    better = page.read_text().replace("0.9", "1.0", 1)
    page.write_text(better)
    with pytest.raises(VerificationError) as caught:
        leaderboard.build(folder, check=True)
    assert "ntkbench leaderboard build" in str(caught.value)
    assert any(line.startswith("-| 1") for line in str(caught.value).splitlines())
    assert page.read_text() == better


def test_a_track_without_entries_has_a_page(tmp_path):
    written(tmp_path)
    leaderboard.build(tmp_path)
    assert "No entries yet." in (tmp_path / "small@1" / "README.md").read_text()


def test_no_tracks_is_a_mistake(tmp_path):
    with pytest.raises(UsageError, match="no tracks"):
        leaderboard.build(tmp_path)


def test_everything_wrong_is_told_at_once_and_nothing_is_written(folder):
    entries = folder / "small@1" / "entries"
    value = json.loads((entries / "narrow.json").read_text())
    value["results"][0]["mean"] = 0.99
    (entries / "narrow.json").write_text(json.dumps(value))
    (entries / "torn.json").write_bytes((entries / "wider.json").read_bytes()[:100])
    written(folder, TEXT.replace("min_seeds: 3", "min_seeds: x"), name="other@1")
    with pytest.raises(VerificationError) as caught:
        leaderboard.build(folder)
    for words in ("narrow.json: results.0.mean: 0.99", "torn.json: Invalid JSON", "other@1/track.yaml: min_seeds"):
        assert words in str(caught.value)
    assert pages(folder) == {}


def test_the_same_runs_twice_and_other_test_points_are_told(folder):
    entries = folder / "small@1" / "entries"
    value = json.loads((entries / "wider.json").read_text())
    (entries / "copy.json").write_text(json.dumps(value | {"name": "copy"}))
    other = json.loads((entries / "narrow.json").read_text())
    other["outcomes"]["points"] = "0" * 64
    (entries / "narrow.json").write_text(json.dumps(other))
    with pytest.raises(VerificationError) as caught:
        leaderboard.build(folder)
    assert "wider.json: run_ids: runs of copy.json" in str(caught.value)
    assert "narrow.json: outcomes.points: judged on other test points than copy.json" in str(caught.value)


def test_lower_first_turns_the_order_around(folder):
    path = folder / "small@1" / track.FILE
    path.write_text(path.read_text().replace("order: descending", "order: ascending"))
    leaderboard.build(folder)
    assert [(row[0], row[1].startswith("[narrow]")) for row in rows(folder)[2:]] == [
        ("1", True),
        ("2", False),
        ("2", False),
    ]


def test_the_tables_of_the_repository_are_up_to_date():
    leaderboard.build(Path("leaderboards"), check=True)


@pytest.mark.slow
def test_thousands_of_entries_take_seconds():
    root = Path(__file__).parent.parent.parent
    command = [sys.executable, str(root / "benchmarks" / "leaderboard.py"), "2000"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root, env=environment)
    many, ours = (float(line.split()[-2]) for line in done.stdout.splitlines() if line.endswith(" s"))
    assert many < 30, "about 4 s on one core that does nothing else"
    assert ours < 10


def test_the_ledger_is_read_without_jax():
    modules = "vocabulary statistics jsonfile record arrays render tables show track entry submit page leaderboard"
    modules += " verify compare"
    code = (
        f"import sys, importlib\nfor name in {modules!r}.split(): importlib.import_module('ntkbench.bench.' + name)\n"
        "print([name for name in ('jax', 'equinox', 'pandas', 'scipy', 'matplotlib') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


OVER_SEEDS = TEXT.replace("metric: transfer_rate", "metric: normalized_transfer").replace(
    "  where: {attack: ntk, eps: 8/255, denominator: target_correct}", "  where: {attack: ntk, eps: 8/255}"
)
OVER_SEEDS = OVER_SEEDS.replace("min_seeds: 3", "min_seeds: 3\nties: {rule: welch}")


def test_a_number_of_each_seed_is_compared_over_seeds(tmp_path):
    boards = tmp_path / "leaderboards"
    rules = track.read(written(boards, OVER_SEEDS))
    for name, width, rate in (("wide", 512, 0.9), ("wider", 1024, 0.89), ("narrow", 16, 0.1)):
        runs = planned(cell(width=width), range(4), width=str(width))
        records = store(tmp_path / "records", runs, rate=rate)
        entry = submit.make(rules, runs, records, tmp_path / "records", name=name)
        assert entry.outcomes is None
        submit.save(entry, boards)
    leaderboard.build(boards)
    assert [row[0] for row in rows(boards)[2:]] == ["1", "1", "3"]
    text = (boards / "small@1" / "README.md").read_text()
    assert "95 % interval, over seeds alone, inside of the metric's range" in text
    assert "Welch's t test over seeds can tell from the first of its rank" in text
    shown = rows(boards)[4][2]
    low, high = json.loads((boards / "small@1" / "entries" / "narrow.json").read_text())["results"][0]["ci95"]
    assert shown.endswith(f"[{low:.3f}, {high:.3f}]")


def test_outcomes_belong_where_entries_are_compared_by_point_and_nowhere_else(folder):
    path = folder / "small@1" / "entries" / "narrow.json"
    value = json.loads(path.read_text())
    path.write_text(json.dumps(value | {"outcomes": None}))
    with pytest.raises(VerificationError, match=r"narrow.json: outcomes: there are none"):
        leaderboard.build(folder)
    path.write_text(json.dumps(value))
    text = TEXT.replace("min_seeds: 3", "min_seeds: 3\nties: {rule: welch}")
    (folder / "small@1" / track.FILE).write_text(text)
    with pytest.raises(VerificationError, match=r"narrow.json: outcomes: the track compares none"):
        leaderboard.build(folder)
