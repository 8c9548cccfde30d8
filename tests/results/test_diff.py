import re

import pytest

from ntkbench import uncertainty
from ntkbench.errors import NtkbenchError, UsageError
from ntkbench.results.diff import _overlap, diff, find
from ntkbench.store import record
from ntkbench.store.store import Store
from tests.examples.factory import a_record, cell, planned, store, valid

EPOCHS = {"mode": "standard", "epochs": 20}


@pytest.fixture
def kept(tmp_path) -> Store:
    return Store(tmp_path)


def lines(text: str, of: str) -> list[list[str]]:
    """Rows of the part whose table is called so."""
    (part,) = [part for part in text.split("\n\n") if part.split()[0].rstrip(":") == of]
    return [re.split(r" {2,}", line.strip()) for line in part.splitlines()[2:]]


def pair(kept: Store, **changes) -> str:
    """Ten epochs against twenty, random signs against none."""
    (one,) = store(kept.records, planned(cell(), [0]), rate=0.1)
    (other,) = store(kept.records, planned(cell(training=EPOCHS, width=33), [1]), rate=0.9, **changes)
    return diff(one, other)


def test_what_was_asked_by_path(kept):
    text = pair(kept)
    assert lines(text, "config") == [["width", "32", "33"], ["training.epochs", "10", "20"], ["seed", "0", "1"]]
    assert "software: the same" in text


def test_with_what_and_on_what_it_was_made(kept):
    text = pair(kept, software={"ntkbench": "0.2.0", "dirty": False, "jax": "1"}, device={"kind": "gpu", "count": 1})
    assert lines(text, "software") == [["ntkbench", "0.1.0", "0.2.0"], ["jax", "-", "1"]]
    assert lines(text, "device") == [["kind", "cpu", "gpu"]]
    assert "execution: the same" in text


def test_numbers_with_their_difference_and_intervals(kept):
    text = pair(kept)
    one, other = (
        next(row for row in each.metrics if row.metric == "transfer_rate" and row.where.get("eps") == "8/255")
        for each in sorted(record.read_all(kept.records)[0], key=lambda each: each.spec.seed)
    )
    assert one.value is not None
    assert other.value is not None
    where = "target self, attack ntk, source limit, eps 8/255, denominator target_correct"
    (row,) = [row for row in lines(text, "analysis") if row[1:3] == ["transfer_rate", where]]
    assert row[3:] == [
        f"{one.value:.6g} ({one.k}/{one.n})",
        f"{other.value:.6g} ({other.k}/{other.n})",
        f"{other.value - one.value:+.3g}",
        "apart",
    ]
    assert re.search(r"^\d+ numbers are the same$", text, flags=re.MULTILINE)


def test_intervals_are_compared_with_the_other_s_number(kept):
    def row(k: int, n: int) -> record.MetricRow:
        (only,) = [each for each in some.metrics if each.metric == "accuracy"]
        return only.model_copy(update={"k": k, "n": n, "value": k / n, "ci95": uncertainty.wilson(k, n)})

    (some,) = store(kept.records, planned(cell(), [0]))
    words = [_overlap(row(*one), row(*two)) for one, two in (((5, 10), (6, 10)), ((1, 10), (9, 10)))]
    assert words == ["each in the other's", "apart"]
    assert _overlap(row(5, 10), row(700, 1000)) == "one in the other's"


def test_the_same_run_twice_and_a_run_without_numbers(kept):
    (one,) = store(kept.records, planned(cell(), [0]))
    text = diff(one, one)
    assert "config: the same" in text
    assert text.endswith(f"{len(one.metrics)} numbers are the same")
    bare = valid(a_record(planned(cell(), [0])[0]))
    assert diff(bare, bare).endswith("neither has numbers")
    assert all(row[4] == "-" for row in lines(diff(one, bare), "analysis") if len(row) > 1)


def test_the_same_experiment_in_other_words_is_no_difference(kept):
    runs = planned(cell(), [0])
    value = a_record(runs[0])
    named = value["spec"]["resolved"]["data"]
    (other,) = planned(cell(data={**cell().data.model_dump(), "classes": ["7", "9"]}), [0])
    assert named["classes"] == ["sneaker", "ankle_boot"]
    assert other.id == runs[0].id
    assert "config: the same" in diff(valid(value), valid(a_record(other)))


def test_a_run_is_found_by_its_id_the_beginning_of_it_or_its_file(kept):
    runs = planned(cell(), range(20))
    for run in runs:
        record.write(valid(a_record(run)), kept.record(run.id))
    first = runs[0].id
    unique = next(first[:i] for i in range(1, 14) if sum(run.id.startswith(first[:i]) for run in runs) == 1)
    for name in (first, unique, str(kept.record(first))):
        assert find(name, kept).run_id == first
    with pytest.raises(UsageError, match=r"20 runs begin with r: (r\w+, ){5}\.\.\.; write more"):
        find("r", kept)
    with pytest.raises(UsageError, match="has no run rzzzzzzzzzzzz"):
        find("rzzzzzzzzzzzz", kept)
    with pytest.raises(UsageError, match="write the id of a run"):
        find("../*", kept)
    with pytest.raises(NtkbenchError, match="cannot be read"):
        find(str(kept.root / "none.json"), kept)
