"""What a leaderboard shows, as Markdown and CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from ntkbench.bench.entry import Entry, Result, slug
from ntkbench.bench.render import decimal, markdown, mean_sd, no_formula, table, with_interval
from ntkbench.bench.track import Track
from ntkbench.bench.verify import LEVELS, Level
from ntkbench.bench.vocabulary import METRICS

_DIGITS = 3
_GENERATED = "<!-- Made by `ntkbench leaderboard build` from the entries. Edits are lost. -->"
_TESTS = {"paired": "a t test over seeds and the same test points", "welch": "Welch's t test over seeds"}
_NAMED = 3
"""leaders that the index names"""


@dataclass(frozen=True)
class Standing:
    """An entry in its place."""

    rank: int
    entry: Entry
    interval: tuple[float, float]
    level: Level


@dataclass(frozen=True)
class Board:
    """A track and its entries, best first."""

    track: Track
    lines: tuple[Standing, ...]


def index_page(boards: Sequence[Board]) -> str:
    """All tracks."""
    rows = [
        [
            f"[{markdown(each.track.name)}]({each.track.name}/README.md)",
            markdown(each.track.title),
            str(len(each.lines)),
            markdown(_first([line.entry.name for line in each.lines if line.rank == 1])),
        ]
        for each in boards
    ]
    return (
        "\n\n".join(
            [
                _GENERATED,
                "# Leaderboards",
                table(["track", "question", "entries", "first"], rows, "md"),
                "A track is frozen in its `track.yaml`; a change of its rules makes a new version. "
                "Entries are files that `ntkbench submit` makes from records; tables are made from entries alone.",
                *_submitting("SPEC", "TRACK", "../docs/submitting.md"),
            ]
        )
        + "\n"
    )


def _first(names: Sequence[str]) -> str:
    """Those that lead; where they are too many to name, that nobody does."""
    return ", ".join(names) if len(names) <= _NAMED else f"{len(names)} entries share the first rank"


def board_page(board: Board) -> str:
    """One track: its question, its table, what the columns mean, how to submit."""
    track = board.track
    return (
        "\n\n".join(
            [
                _GENERATED,
                f"# {markdown(track.title)}",
                markdown(track.about),
                _table(board) if board.lines else "No entries yet.",
                "\n".join(_legend(board)),
                *_submitting(track.spec, track.name, "../../docs/submitting.md"),
            ]
        )
        + "\n"
    )


def _table(board: Board) -> str:
    track = board.track
    headers = ["rank", "entry", track.rank.title, *(column.title for column in track.columns), "seeds", "level"]
    rows = [
        [
            str(line.rank),
            f"[{markdown(line.entry.name)}](entries/{slug(line.entry.name)}.json)",
            with_interval(line.entry.score, line.interval, _DIGITS),
            *(_cell(result) for result in line.entry.results[1:]),
            str(len(line.entry.seeds)),
            _level(line),
        ]
        for line in board.lines
    ]
    return table([markdown(header) for header in headers], rows, "md")


def _level(line: Standing) -> str:
    return line.level if line.level == "claimed" else f"[{line.level}](checks/{slug(line.entry.name)}.json)"


def _cell(result: Result) -> str:
    return "–" if result.mean is None else mean_sd(result.mean, result.sd, len(result.runs), _DIGITS)


def _legend(board: Board) -> list[str]:
    ranked, *others = rules(board)
    return [
        *(f"- **{markdown(title)}**: {markdown(meaning)}" for title, meaning in columns(board.track)),
        f"- {markdown(ranked)}",
        "- The other columns are mean ± standard deviation over seeds (number of seeds).",
        *(f"- {markdown(rule)}" for rule in others),
        *(f"- Level *{level}*: {meaning}." for level, meaning in LEVELS.items()),
    ]


def columns(track: Track) -> list[tuple[str, str]]:
    """Titles and what they stand for, the ranking metric first."""
    return [(each.title, f"{each}. {_sentence(METRICS[each.metric].meaning)}") for each in (track.rank, *track.columns)]


def rules(board: Board) -> list[str]:
    """Sentences."""
    track = board.track
    better = "higher" if track.rank.order == "descending" else "lower"
    return [
        f"Ranked by {track.rank.title}, {better} first; in brackets its 95 % interval, {_interval(board)}.",
        _ties(board),
        f"Free: {', '.join(track.free) or 'nothing'}. Frozen: {', '.join(track.frozen)}. "
        f"At least {track.min_seeds} seeds.",
    ]


def _ties(board: Board) -> str:
    """How many comparisons there are, and what is made of that."""
    ties, pairs = board.track.ties, comb(len(board.lines), 2)
    alone = any(len(line.entry.seeds) == 1 for line in board.lines)
    of_one = " An entry of one seed is taken as if every seed gave the same." if alone else ""
    test = f"An entry that {_TESTS[ties.rule]} can tell from the first of its rank begins the next rank"
    if pairs < 2:
        return f"{test}: p below {ties.alpha:g}."
    return (
        f"{test}: p below {ties.alpha:g} / {pairs}. That is Bonferroni's correction for all {pairs} pairs of the "
        f"{len(board.lines)} entries, since the numbers themselves decide which of them meet: where all are equally "
        f"good, the chance that not all share the first rank is {100 * ties.alpha:g} % or less.{of_one}"
    )


def _interval(board: Board) -> str:
    """How it is made."""
    if not board.track.by_point:
        return "Student's over seeds"
    outcomes = board.lines[0].entry.outcomes if board.lines else None
    on = f" on {len(outcomes.runs[0])} test points" if outcomes else ""
    of_one = "of one seed, over test points alone"
    return f"over seeds and test points together{on}: Wilson's with Student's quantile; {of_one}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _submitting(spec: str, track: str, docs: str) -> list[str]:
    return [
        "## Submit",
        f"1. Copy `{spec}`, change what is free, and run it: `ntkbench run MY_SPEC`.\n"
        "2. Make the entry from the records of one cell: "
        f'`ntkbench submit MY_SPEC --track {track} --name "My entry"`.\n'
        "3. Make the tables: `ntkbench leaderboard build`, and open a pull request with the entry and the tables.",
        f"Step by step, with what can go wrong: [submitting]({docs}).",
    ]


def board_csv(board: Board) -> str:
    """The table with all digits."""
    track = board.track
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    ranked = [f"{track.rank.title} {part}" for part in ("mean", "low", "high")]
    others = [f"{column.title} {part}" for column in track.columns for part in ("mean", "sd")]
    writer.writerow(map(no_formula, ["rank", "entry", *ranked, *others, "seeds", "level"]))
    for line in board.lines:
        entry = line.entry
        # Six digits of what is resampled: more would differ between machines.
        ends = [decimal(end, 6) for end in line.interval]
        rest = [part for result in entry.results[1:] for part in (result.mean, result.sd)]
        writer.writerow([line.rank, no_formula(entry.name), entry.score, *ends, *rest, len(entry.seeds), line.level])
    return buffer.getvalue()
