"""Each broken spec gives exactly the lines that stand beside it."""

from pathlib import Path

import pytest

from ntkbench.errors import SpecError
from ntkbench.plan.read import read

BAD = Path(__file__).parents[1] / "bad_specs"
SPECS = sorted(path.name for path in BAD.glob("*.yaml"))


@pytest.mark.parametrize("name", SPECS)
def test_the_lines_that_a_broken_spec_gives(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(BAD)
    with pytest.raises(SpecError) as error:
        read(name)
    assert f"{error.value}\n" == Path(name).with_suffix(".errors").read_text(encoding="utf-8")
    assert error.value.exit_code == 2


def test_every_expectation_has_its_spec():
    assert [Path(name).stem for name in SPECS] == sorted(path.stem for path in BAD.glob("*.errors"))
    assert len(SPECS) >= 100


def test_what_the_broken_specs_extend_is_good():
    assert len(read(str(BAD / "parts" / "good.yaml")).runs) == 1
