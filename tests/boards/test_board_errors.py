"""The simulation of boards in small, and the table that it has written into the docs."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from benchmarks.board_errors import _MARKS, MOST, NULLS, SCENARIOS, SEEDS, Scenario, main, simulate, stacked
from ntkbench.boards.ranking.pairs import Compared, Scores, compared

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"
OF_SHARES, OF_LOGS = SCENARIOS[4], SCENARIOS[12]


def rows(text: str) -> list[list[str]]:
    lines = text.split(_MARKS[0])[1].split(_MARKS[1])[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")][1:]


@pytest.mark.parametrize("scenario", SCENARIOS[4:12], ids=lambda scenario: f"{scenario.name}-{scenario.paired}")
def test_stacked_boards_are_compared_as_single_ones(scenario: Scenario):
    rng = np.random.default_rng(0)
    values, each = scenario.draw(rng, 2, 4, NULLS["groups"])
    assert each is not None
    together = stacked(values, each, paired=scenario.paired, share=scenario.share)
    for board in range(2):
        entries = [
            Scores(values[board, i], tuple(s if scenario.paired else (i, s) for s in range(4)), each[board, i], "these")
            for i in range(values.shape[1])
        ]
        found = compared(entries, share=scenario.share)
        for field in fields(Compared):
            np.testing.assert_allclose(
                getattr(together, field.name)[board], getattr(found, field.name), rtol=1e-3, atol=1e-6
            )


@pytest.mark.parametrize("scenario", [OF_SHARES, OF_LOGS], ids=lambda scenario: scenario.name)
def test_equal_entries_are_rarely_told_apart_and_different_ones_often(scenario: Scenario):
    found = simulate(scenario, 5, 300)
    assert max(found["ranking"].errors.values()) <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5
    assert found["ranking"].power > found["alone"].power > 0.1


def test_without_limits_to_moderation_the_level_breaks_where_some_entries_vary_more():
    three = next(each for each in SCENARIOS if "three" in each.name and not each.paired)
    found = simulate(three, 3, 400)
    assert found["unlimited"].errors["equal"] > MOST > found["ranking"].errors["equal"]


def test_the_script_writes_its_table(tmp_path: Path, capsys):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{_MARKS[0]}\nnothing yet\n{_MARKS[1]}\nafter\n")
    main(["--tiny", "--write", str(page)])
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "nothing yet" not in text
    assert len(rows(text)) == len(SCENARIOS)
    assert "largest family-wise error" in capsys.readouterr().out


def test_the_table_in_the_docs_has_every_board_and_no_error_above_the_limit():
    table = rows(PAGE.read_text())
    assert [row[1] for row in table] == [str(seeds) for _ in SCENARIOS for seeds in SEEDS]
    for row, scenario in zip(table, [each for each in SCENARIOS for _ in SEEDS], strict=True):
        assert row[0] == f"{scenario.name}; {'shared' if scenario.paired else 'own'} seeds"
        assert max(map(float, row[2:5])) <= MOST
