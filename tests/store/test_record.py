import json
import math
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkbench.analyses.measurement import Scalar
from ntkbench.errors import NtkbenchError, UsageError
from ntkbench.run import recording
from ntkbench.store import record
from ntkbench.text import without_control_characters
from ntkbench.uncertainty import wilson
from tests.examples.factory import a_record, cell, failed, outcomes, planned, store, valid

RUN = planned(cell(), [0], width="32")[0]
WHERE = {"target": "self", "attack": "ntk", "source": "limit", "eps": "8/255", "denominator": "target_correct"}


def test_a_proportion_gets_the_words_of_the_vocabulary_and_wilsons_interval():
    row = recording.metric_row("transfer", Scalar.share("transfer_rate", 533, 873, WHERE))
    assert row.model_dump(mode="json") == {
        "analysis": "transfer",
        "metric": "transfer_rate",
        "revision": 1,
        "value": 533 / 873,
        "k": 533,
        "n": 873,
        "ci95": list(wilson(533, 873)),
        "ci_method": "wilson",
        "where": WHERE,
        "unit": "fraction",
        "higher_is_better": True,
    }


def test_a_mean_gets_students_interval_and_a_bare_number_none():
    mean = recording.metric_row("transfer", Scalar.mean("gradient_cosine", np.array([0.1, 0.2, 0.3]), {}))
    # t_{2, 0.975} = 4.302653
    half = 4.302653 * 0.1 / 3**0.5
    assert mean.ci95 == pytest.approx([0.2 - half, 0.2 + half], abs=1e-6)
    assert (mean.ci_method, mean.n, mean.k) == ("t", 3, None)
    bare = recording.metric_row("transfer", Scalar("normalized_transfer", -0.3))
    assert (bare.value, bare.ci95, bare.ci_method) == (-0.3, None, None)


@pytest.mark.parametrize(
    ("scalar", "reason"),
    [
        (Scalar("normalized_transfer", math.nan), "not finite: nan"),
        (Scalar("normalized_transfer", -math.inf), "not finite: -inf"),
        (Scalar("gradient_cosine", 1.1), r"1.1 is outside of \[-1.0, 1.0\]"),
        (Scalar.share("accuracy", 0, 0, {}), "no test point to count"),
        (Scalar("accuracy", None), "not defined"),
    ],
)
def test_what_is_no_number_is_null_with_its_reason(scalar, reason):
    row = recording.metric_row("transfer", scalar)
    assert row.value is None
    assert row.ci95 is None
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(row.reason)
    valid(a_record(RUN, metrics=[row]))


def test_round_off_beyond_the_range_is_cut_off():
    assert recording.metric_row("transfer", Scalar("gradient_cosine", 1 + 1e-7)).value == 1.0


def test_an_unknown_metric_is_refused():
    with pytest.raises(UsageError, match="did you mean accuracy"):
        recording.metric_row("transfer", Scalar("acuracy", 0.5))


def test_no_bit_of_a_record_can_flip_unnoticed(tmp_path):
    path = tmp_path / f"{RUN.id}.json"
    record.write(valid(a_record(RUN, outcomes(np.random.default_rng(0)))), path)
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << position % 8
        path.write_bytes(flipped)
        with pytest.raises(NtkbenchError, match=RUN.id):
            record.read(path)
    value = json.loads(whole)
    value["metrics"][0]["ci95"][0] += 1e-9
    path.write_text(json.dumps(value))
    with pytest.raises(NtkbenchError, match="a bit has flipped, or somebody changed it"):
        record.read(path)


def test_a_record_of_an_earlier_version_has_no_checksum(tmp_path):
    path = tmp_path / f"{RUN.id}.json"
    path.write_text(json.dumps(a_record(RUN)))
    assert record.read(path).sha256 is None
    record.write(valid({**a_record(RUN), "sha256": "0" * 64}), path)
    assert record.read(path).sha256 not in (None, "0" * 64), "written again, it has its own"


def test_a_record_reads_back_as_it_was_written(tmp_path):
    columns = outcomes(np.random.default_rng(0))
    path = tmp_path / f"{RUN.id}.json"
    record.write(valid(a_record(RUN, columns)), path)
    found = record.read(path)
    assert found.model_copy(update={"sha256": None}) == valid(a_record(RUN, columns))
    assert (found.run_id, found.spec.seed, len(found.metrics)) == (RUN.id, 0, 17)
    first = path.read_bytes()
    record.write(valid(json.loads(first)), path)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("document", "digest"),
    [
        (a_record(RUN, outcomes(np.random.default_rng(0))), "753dc1cc5fc75720"),
        (failed(RUN, "oom"), "766fcb095c3f16c6"),
    ],
)
def test_the_bytes_of_a_record_follow_from_its_content(document: dict[str, Any], digest: str, tmp_path: Path):
    """Stores are compared and merged byte by byte, so that records of other versions must not differ in their form."""
    path = tmp_path / f"{RUN.id}.json"
    record.write(valid(document), path)
    assert sha256(path.read_bytes()).hexdigest().startswith(digest)


def test_what_no_record_can_hold_is_refused_with_its_place():
    with pytest.raises(NtkbenchError, match=r"analyses.own: accuracy: where.note"):
        recording.metric_row("own", Scalar.share("accuracy", 1, 2, {"note": "x" * 1001}))


def test_the_fields_are_those_of_the_design_in_their_order(tmp_path):
    path = tmp_path / f"{RUN.id}.json"
    record.write(valid(dict(reversed(a_record(RUN).items()))), path)
    fields = "schema run_id status attempt spec metrics series samples checks stages software jax device execution"
    assert list(json.loads(path.read_text())) == [*fields.split(), "resources", "time", "warnings", "error", "sha256"]


@settings(max_examples=50)
@given(
    value=st.floats(-1, 1),
    where=st.dictionaries(st.text(max_size=20), st.text(max_size=20) | st.booleans() | st.integers(-9, 9), max_size=4),
)
def test_any_number_survives_the_file(value, where):
    row = recording.metric_row("transfer", Scalar("gradient_cosine", value, where))
    found = valid(a_record(RUN, metrics=[row])).metrics[0]
    assert found.value == value
    expected = {
        without_control_characters(key): without_control_characters(label) if isinstance(label, str) else label
        for key, label in where.items()
    }
    assert found.where == expected
    assert [type(v) for v in found.where.values()] == [type(v) for v in expected.values()]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": "ntkbench.record/2"}, "schema: Input should be 'ntkbench.record/1'"),
        ({"run_id": "../../etc"}, "run_id: String should match pattern"),
        ({"status": "fine"}, "status: Input should be 'ok', 'failed', 'diverged', 'timeout', 'oom' or 'interrupted'"),
        ({"status": "failed"}, "status failed without an error"),
        ({"error": {"type": "X", "message": "x"}}, "status ok with an error"),
        ({"attempt": 0}, "attempt: Input should be greater than or equal to 1"),
        ({"samples": {"file": "../x.npz", "columns": [], "sha256": "0" * 64}}, "samples.file: String should match"),
        ({"time": {"started": "yesterday", "ended": "today"}}, "time.started: String should match pattern"),
        ({"host": "mine"}, "host: Extra inputs are not permitted"),
        ({"resources": {"wall_s": float("nan")}}, "not JSON"),
    ],
)
def test_a_field_that_is_wrong_is_named(changes, message):
    with pytest.raises(NtkbenchError, match=message):
        valid(a_record(RUN, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": 0.5}, "the value is 0.5, but k/n is 3/4"),
        ({"k": 5}, "k is 5 of n 4"),
        ({"k": 2**60}, "k: Input should be less than"),
        ({"n": None}, "k without n"),
        ({"value": "0.75"}, "metrics.0.value: Input should be a valid number"),
        ({"ci95": [0.1]}, "metrics.0.ci95"),
        ({"where": {"eps": ["8/255"]}}, "metrics.0.where.eps"),
    ],
)
def test_counts_and_value_agree(changes, message):
    row = recording.metric_row("accuracy", Scalar.share("accuracy", 3, 4, {})).model_dump() | changes
    with pytest.raises(NtkbenchError, match=message):
        valid(a_record(RUN, metrics=[row]))


def test_damaged_records_are_told_and_left_out(tmp_path):
    runs = planned(cell(), range(3))
    store(tmp_path, runs[:2])
    record.write(valid(failed(runs[2], "oom")), tmp_path / f"{runs[2].id}.json")
    whole = (tmp_path / f"{runs[0].id}.json").read_bytes()
    (tmp_path / "r000000000000.json").write_bytes(whole)
    (tmp_path / "r000000000001.json").write_bytes(whole[:500])
    (tmp_path / "r000000000002.json").mkdir()
    (tmp_path / "notes.txt").write_text("not a record")
    records, damaged = record.read_all(tmp_path)
    assert sorted(found.run_id for found in records) == sorted(run.id for run in runs)
    assert [type(error) for error in damaged] == [NtkbenchError] * 3
    assert "does not belong in a file of this name" in str(damaged[0])
    assert "r000000000001.json: Invalid JSON" in str(damaged[1])
    assert record.read_all(tmp_path / "nowhere") == ([], [])
