"""Small leaderboards for tests: entries with outcomes that were chosen, and checks that they earn or do not."""

from collections.abc import Sequence
from pathlib import Path

from ntkbench.boards import submit, verify
from ntkbench.boards.entry import Entry
from ntkbench.boards.tracks.track import Track
from ntkbench.plan.runs import Run
from tests.examples.factory import cell, planned, store


def entered(
    boards: Path, rules: Track, name: str, runs: Sequence[Run], *, rate: float = 0.5, again: int | None = 1
) -> Entry:
    """Save an entry of these runs, whose records are made up; `again`: how many of its seeds are run again."""
    kept = boards.parent / "records"
    records = store(kept, runs, rate=rate)
    entry = submit.make(rules, runs, records, kept, name=name)
    submit.save(entry, boards)
    seeds = entry.seeds[: again or 0]
    found = [record for record in records if record.spec.seed in seeds]
    if found:
        verify.conclude(boards / rules.name, rules, entry, [verify.rerun(rules, entry, each, kept) for each in found])
    return entry


def three(boards: Path, rules: Track, seeds: int = 4, again: int | None = 1) -> list[Entry]:
    """Save three entries: two that are alike, and one far below."""
    found = []
    for name, width, rate in (("Wide", 512, 0.9), ("wider", 1024, 0.89), ("narrow", 16, 0.1)):
        runs = planned(cell(width=width), range(seeds), width=str(width))
        found.append(entered(boards, rules, name, runs, rate=rate, again=again))
    return found
