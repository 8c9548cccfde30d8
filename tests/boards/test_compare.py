import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ntkbench import documents
from ntkbench.boards import comparand, submit
from ntkbench.boards import compare as boards_compare
from ntkbench.boards.comparand import Comparand, key
from ntkbench.boards.compare import COUNTS, FEW, PAIRED, POINTS, SEEDS, rows
from ntkbench.boards.tracks import track
from ntkbench.errors import UsageError
from ntkbench.plan.read import read
from ntkbench.spec.identity import resolved
from ntkbench.store import record
from ntkbench.store.arrays import read_samples
from ntkbench.store.store import Store
from ntkbench.uncertainty import difference, from_influence, from_points, from_seeds
from tests.boards.test_track import TARGETS, written
from tests.examples import factory
from tests.examples.factory import cell, planned, store

MATRIX = {"width": [16, 512], "epochs": {"short, or so": {"training.epochs": 5}, "long": {"training.epochs": 10}}}


@pytest.fixture
def folder(tmp_path) -> Path:
    boards = tmp_path / "leaderboards"
    rules = track.read(written(boards))
    for name, width, seeds, rate in (("strong", 512, 4, 0.9), ("weak", 16, 3, 0.1)):
        runs = planned(cell(width=width), range(seeds), width=str(width))
        records = store(tmp_path / "records", runs, rate=rate)
        submit.save(submit.make(rules, runs, records, tmp_path / "records", name=name), boards)
    return boards


def entries(folder: Path) -> list[Comparand]:
    return [
        comparand.from_entry(folder / "small@1" / "entries" / f"{name}.json", folder) for name in ("strong", "weak")
    ]


def compare(one: str, two: str, folder: Path, **options) -> str:
    sides = [comparand.find(name, folder, Store(folder.parent / "runs")) for name in (one, two)]
    return boards_compare.compare(*sides, **options)


def changed(folder: Path, **update) -> None:
    path = folder / "small@1" / "entries" / "weak.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | update))


def test_each_number_has_the_method_that_fits_it(folder):
    a, b = entries(folder)
    found = rows(a, b, paired=True)
    assert [row.method for row in found] == [PAIRED] * 3, "its outcomes give all columns of an entry"
    assert [row.method for row in rows(a, b, paired=False)] == [POINTS] * 3
    judged = [each.outcomes[key(each.results[0])] for each in (a, b)]
    estimates = [from_influence(each.values, each.influence, float(np.mean(each.counted))) for each in judged]
    assert found[0].found == difference(*estimates, paired=True)
    bare = [replace(each, outcomes={}) for each in (a, b)]
    assert [row.method for row in rows(*bare, paired=True)] == [COUNTS, COUNTS, SEEDS]
    values = [[run.value for run in entry.results[2].runs if run.value is not None] for entry in (a, b)]
    assert rows(*bare, paired=True)[2].found == difference(*map(from_seeds, values), paired=False)


def test_the_comparison_in_words(folder):
    text = compare("small@1/strong", "small@1/weak", folder)
    lines = text.splitlines()
    assert lines[0] == "strong less weak"
    (rate,) = [line for line in lines if line.startswith("transfer_rate")]
    a, b = (np.array([run.value for run in each.results[0].runs], float) for each in entries(folder))
    assert f"{a.mean():.3f} ± {a.std(ddof=1):.3f} (4)" in rate
    assert f"{a.mean() - b.mean():+.3f}" in rate
    assert "p, Holm: corrected for these 3" in text
    assert "protocol: the same, nothing that small@1 has frozen differs" in text
    assert "differs: width: 512 | 16" in text
    assert "differs: seeds: 0, 1, 2, 3 | 0, 1, 2" in text


def test_another_protocol_is_named(folder):
    value = json.loads((folder / "small@1" / "entries" / "weak.json").read_text())
    value["cells"][0]["cell"]["numerics"]["kernel"] = "float32"
    changed(folder, cells=value["cells"], software=[{"ntkbench": "9"}])
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
    changed(folder, points="0" * 64)
    with pytest.raises(UsageError, match="different test points and cannot be paired; --unpaired compares"):
        compare("small@1/strong", "small@1/weak", folder)
    assert POINTS in compare("small@1/strong", "small@1/weak", folder, paired=False)


def test_one_seed_of_a_number_without_outcomes_has_no_interval(folder):
    a, b = (replace(each, outcomes={}) for each in entries(folder))
    results = [each.model_copy(update={"runs": each.runs[:1]}) for each in b.results]
    found = rows(a, replace(b, seeds=b.seeds[:1], results=results), paired=True)
    assert [(row.method, row.found is None) for row in found] == [(COUNTS, False), (COUNTS, False), (FEW, True)]


def test_entries_of_several_cells_are_compared_by_their_means(tmp_path):
    rules = track.read(written(tmp_path / "leaderboards", TARGETS, "two@1"))
    for name, ridge, rate in (("plain", 0.0, 0.9), ("ridge", 0.5, 0.2)):
        kernels = {"limit": {"kind": "infinite", "ridge": ridge}}
        wide = cell(width=64, training={"mode": "standard", "epochs": 20}, kernels=kernels)
        runs = [*planned(cell(kernels=kernels), range(3), n="1"), *planned(wide, range(3), n="2")]
        records = store(tmp_path / "records", runs, rate=rate)
        submit.save(submit.make(rules, runs, records, tmp_path / "records", name=name), tmp_path / "leaderboards")
    text = compare("two@1/plain", "two@1/ridge", tmp_path / "leaderboards")
    assert text.count(PAIRED) == 4
    assert "differs: small: kernels.limit.ridge: 0.0 | 0.5" in text
    assert "differs: wide: kernels.limit.ridge: 0.0 | 0.5" in text
    assert "protocol: the same, nothing that two@1 has frozen differs" in text


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


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """Its wide networks are fooled more often. One run is not there."""
    path = tmp_path / "widths.yaml"
    document = {"ntkbench": 1, "name": "widths", **resolved(cell()), "matrix": MATRIX, "seeds": 3}
    path.write_text(json.dumps(document), "utf-8")
    for run in read(path).runs[:-1]:
        store(Store(tmp_path / "runs").records, [run], rate=0.9 if run.cell.width == 512 else 0.1)
    return path


def test_all_shares_of_cells_are_paired_by_their_records(spec: Path, tmp_path: Path):
    kept = Store(tmp_path / "runs")
    a, b = [comparand.find(f"{spec}:width={width},epochs=short, or so", tmp_path, kept) for width in (512, 16)]
    assert (a.name, a.seeds) == ("widths width=512 epochs=short, or so", [0, 1, 2])
    found = {row.what: row for row in rows(a, b, paired=True)}
    assert {row.method for row in found.values()} == {PAIRED}
    row = found["robust_accuracy target=self attack=ntk source=limit eps=8/255"]
    matrices = []
    for each in (a, b):
        records = [record.read(kept.record(run.id)) for run in read(spec).runs if run.cell == each.cells[""]]
        samples = [read_samples(kept.records, one) for one in records]
        matrices.append(np.stack([one["transfer.ntk@8/255"].astype(float) for one in samples]))
    assert row.found == difference(*map(from_points, matrices), paired=True)
    assert row.one.mean == pytest.approx(matrices[0].mean())


def test_cells_in_words(spec: Path, tmp_path: Path):
    wide, narrow = (f"{spec}:epochs=long,width={width}" for width in (512, 16))
    text = compare(wide, narrow, tmp_path / "leaderboards", metrics=["transfer_rate"], where={"denominator": "all"})
    assert text.splitlines()[0] == "widths width=512 epochs=long less widths width=16 epochs=long"
    assert text.count("transfer_rate") == 2
    assert "corrected for these 2" in text
    assert "protocol: no track has rules for both; all that differs is below" in text
    assert "differs: width: 512 | 16" in text
    assert "widths width=512 epochs=long: seed 2 (run" in text
    assert "differs: seeds: 0, 1 | 0, 1, 2" in text


def test_a_cell_beside_an_entry_has_the_rules_of_its_track(folder: Path, spec: Path):
    text = compare(f"{spec}:width=512,epochs=long", "small@1/weak", folder)
    assert "protocol: the same, nothing that small@1 has frozen differs" in text
    assert PAIRED in text


def test_what_names_no_cell_is_told(folder: Path, spec: Path):
    def told(name: str, **options) -> str:
        with pytest.raises(UsageError) as error:
            compare(name, name, folder, **options)
        return str(error.value)

    assert "2 cells; choose one by its coordinates" in told(f"{spec}:width=512")
    assert "the plan has no axis 'wdith'; did you mean width?" in told(f"{spec}:wdith=512")
    assert "SPEC:AXIS=LABEL,AXIS=LABEL" in told(f"{spec}:512")
    cell = f"{spec}:width=16,epochs=long"
    assert "did you mean transfer_rate?" in told(cell, metrics=["transfer_rates"])
    assert "share no number of these; they share\n  " in told(cell, where={"eps": "1/255"})
    for run in read(spec).runs:
        Store(folder.parent / "runs").record(run.id).unlink(missing_ok=True)
    assert "none of its 3 runs is done in" in told(cell)
    assert f"`ntkbench run {spec}`" in told(cell)


def test_what_analyses_measure_alike_is_one_number(tmp_path: Path):
    """And what they do not are several."""
    (run,) = planned(cell(), [0])
    value = factory.a_record(run, factory.outcomes(np.random.default_rng(0)))
    again = [row | {"analysis": "again"} for row in value["metrics"][:2]]
    again[1] |= {"value": 0.5, "k": 10, "n": 20}
    other = documents.accept(record.Record, value | {"metrics": [*value["metrics"], *again]}, "x")
    found = [result for result, _ in comparand._numbers([other])]
    assert [result.where for result in found if result.metric == "accuracy"] == [{"target": "self"}]
    named = [result.where["analysis"] for result in found if "analysis" in result.where]
    assert named == ["transfer", "again"]
