"""Commands on many records, beside what reading the same files takes in the same minute."""

from pathlib import Path

import pytest

from benchmarks import ledger

FEW, MANY = 20, 320
MOST = {"show": 18.0, "export": 19.0, "status": 9.0}
"""command -> processor time a record, in times of reading its file and parsing the JSON: twice what was measured"""


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    few, many = (ledger.fill(tmp_path_factory.mktemp("ledger"), runs) for runs in (FEW, MANY))
    return few, many


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("command", MOST)
def test_a_record_takes_a_few_times_what_reading_it_takes(command: str, specs: tuple[Path, Path]):
    few, many = (min(ledger.measured(ledger.commands(spec)[command])[0] for _ in range(2)) for spec in specs)
    reading = min(ledger.reading(specs[1].parent / "runs" / "records") for _ in range(3)) / MANY
    each = (many - few) / (MANY - FEW)
    assert each < MOST[command] * reading, f"{each / reading:.1f} times"
