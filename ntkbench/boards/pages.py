"""Render leaderboards as Markdown and CSV.

`leaderboard.py` makes the boards and writes what the three page functions return:

    index_page(boards)    # leaderboards/README.md
    board_page(board)     # leaderboards/<track>/README.md
    board_csv(board)      # leaderboards/<track>/table.csv

`site.py` shows the same `columns` and `rules` as HTML.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from difflib import unified_diff
from pathlib import Path

from ntkbench import files
from ntkbench.boards import standings
from ntkbench.boards.checks import LEVELS
from ntkbench.boards.entry import Result
from ntkbench.boards.standings import Board, Standing
from ntkbench.boards.tracks.constraints import words
from ntkbench.boards.tracks.track import Track
from ntkbench.errors import VerificationError
from ntkbench.render import decimal, markdown, mean_sd, no_formula, table, with_interval
from ntkbench.results.web import page
from ntkbench.spec.extensions import metric
from ntkbench.text import one_line, slug

_DIGITS = 3
"""decimals of numbers in tables"""
BEST = "†"
"""mark of the entries that cannot be told from the entry with the best estimate"""
_SEEDS = {"run": "", "data": ", each with a training subset of its own and the same test points"}
"""what the seeds of a track stand for, by its `seed_of`"""
_NAMED = 3
"""largest number of leaders that the index names one by one"""


def index_page(boards: Sequence[Board]) -> str:
    """Return the Markdown page that lists all tracks and says how to submit an entry."""
    rows = [
        [
            f"[{markdown(each.track.name)}]({each.track.name}/README.md)",
            markdown(each.track.title),
            str(len(each.entries)),
            f"{each.told_pairs} of {each.pairs}",
            markdown(_first(each.leaders)),
        ]
        for each in boards
    ]
    overview = table(["track", "question", "entries", "pairs told apart", "best"], rows, "md")
    return page("boards.md.j2", table=overview, spec="SPEC", name="TRACK", docs="../docs/submitting.md")


def _first(names: Sequence[str]) -> str:
    """Return the names of the leaders, or how many they are where they are more than `_NAMED`."""
    return ", ".join(names) if len(names) <= _NAMED else f"{len(names)} entries that cannot be told apart"


def board_page(board: Board) -> str:
    """Return the Markdown page of a track: question, table, meaning of the columns, rules, how to submit."""
    return page(
        "board.md.j2",
        track=board.track,
        table=_table(board) if board.lines else "",
        columns=columns(board.track),
        rules=rules(board),
        levels=LEVELS,
        spec=board.track.spec,
        name=board.track.name,
        docs="../../docs/submitting.md",
    )


def _table(board: Board) -> str:
    track = board.track
    headers = ["rank", "entry", track.rank.title, *(column.title for column in track.columns), "seeds", "level"]
    rows = [_row(track, line) for line in board.lines]
    return table([markdown(header) for header in headers], rows, "md")


def _row(track: Track, line: Standing) -> list[str]:
    """Return the cells of a row; a reference is in italics, and one without an entry has an estimate alone."""
    value = with_interval(line.value, line.interval, _DIGITS) if line.interval else decimal(line.value, _DIGITS)
    rank = f"{line.rank} {BEST}" if line.leads else line.rank
    if line.entry is None:
        return [rank, f"*{markdown(line.name)}*", value, *([""] * (len(track.columns) + 2))]
    name = f"[{markdown(line.name)}](entries/{slug(line.name)}.json)"
    numbers = [_cell(result) for result in line.entry.results[1:]]
    return [rank, f"*{name}*" if line.is_reference else name, value, *numbers, str(len(line.entry.seeds)), _level(line)]


def _level(line: Standing) -> str:
    if line.level is None or line.level.level == "claimed":
        return "claimed"
    return f"[{line.level}](checks/{slug(line.name)}.json)"


def _cell(result: Result) -> str:
    return "–" if result.mean is None else mean_sd(result.mean, result.sd, len(result.runs), _DIGITS)


def columns(track: Track) -> list[tuple[str, str]]:
    """Return titles and meanings of the columns, the ranking one first."""
    return [(each.title, f"{each}. {_sentence(metric(each.metric).meaning)}") for each in (track.rank, *track.columns)]


def rules(board: Board) -> list[str]:
    """Return the rules of a board as sentences, the meaning of order and rank first."""
    track = board.track
    better = "higher" if track.rank.order == "descending" else "lower"
    ratio = "the geometric mean over seeds, as entries are compared by ratios" if track.rank.on == "log" else "the mean"
    several = f" of {len(track.cells)} targets ({', '.join(track.cells)}), seed by seed" if len(track.cells) > 1 else ""
    return [
        f"In the order of {track.rank.title}, {better} first: {ratio}{several}; in brackets its 95 % interval, "
        f"{_interval(board)}.",
        f"The rank of an entry is a set, such as 3-7: its first number is one more than the entries that are "
        f"significantly better, after its last one come the entries that are significantly worse. {BEST}: cannot be "
        f"told from the entry with the best estimate.",
        _pairs_told_apart(board),
        *(f"Reference, without a rank and in no test: {name}, {each.about}" for name, each in track.references.items()),
        f"Free: {', '.join(track.free) or 'nothing'}. Frozen: {', '.join(track.frozen)}. "
        f"At least {track.min_seeds} seeds{_SEEDS[track.seed_of]}.",
        *_bounds(track),
    ]


def _pairs_told_apart(board: Board) -> str:
    """Return a sentence that says how many pairs are told apart, and by which test."""
    alpha = 100 * board.track.alpha
    return (
        f"{board.told_pairs} of the {board.pairs} pairs of ranked entries are told apart, at a chance of {alpha:g} % "
        f"that any equally good pair is: tests of all pairs, paired by seeds and test points that two entries share, "
        f"Holm's correction. How, and how well it holds: docs/statistics.md."
    )


def _bounds(track: Track) -> Iterator[str]:
    """Yield sentences about the bounds of what is free, and about what every run has to reach."""
    if track.constrain:
        bounds = (f"{pattern}: {words(allowed)}" for pattern, allowed in track.constrain.items())
        yield f"Bounds of what is free: {'; '.join(bounds)}."
    asked = [f"{each} {limit}" for each in track.qualify for limit in each.limits]
    checks = f", but for {', '.join(track.allow_failed)}" if track.allow_failed else ""
    yield f"Every run of an entry has {'; '.join([*asked, f'no failed check{checks}'])}."


def _interval(board: Board) -> str:
    """Return what the intervals of a board are over: seeds alone, or seeds and so many test points together."""
    if not board.track.by_point:
        return "over seeds alone, inside of the metric's range"
    lengths = {len(text) for _, e in board.entries for c in e.cells for r in c.results for text in r.outcomes or ()}
    return f"over seeds and test points together{f' on {min(lengths)} test points' if lengths else ''}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def board_csv(board: Board) -> str:
    """Return the table as CSV: estimates with 12 significant digits, ends of intervals with 6 decimals."""
    track = board.track
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    ranked = [f"{track.rank.title} {part}" for part in ("estimate", "low", "high")]
    others = [f"{column.title} {part}" for column in track.columns for part in ("mean", "sd")]
    writer.writerow(map(no_formula, ["best rank", "worst rank", "entry", *ranked, *others, "seeds", "level"]))
    for line in board.lines:
        # Ends of intervals have six decimals: more would differ between machines.
        ends = [decimal(end, 6) for end in line.interval or ()] or ["", ""]
        results = line.entry.results[1:] if line.entry else ()
        rest = [part for result in results for part in (result.mean, result.sd)] or [""] * len(others)
        facts = [len(line.entry.seeds), line.level] if line.entry else ["", ""]
        level = [facts[0], "reference" if line.is_reference else facts[1]]
        writer.writerow([*(line.ranks or ("", "")), no_formula(line.name), f"{line.value:.12g}", *ends, *rest, *level])
    return buffer.getvalue()


_DIFF_LINES = 20
"""lines of a page's difference that a message shows"""


def build(folder: Path, check: bool = False) -> list[Path]:
    """Write the pages of all tracks and their index; return the files that changed.

    With `check` nothing is written. Raise VerificationError for wrong entries and, with `check`, for pages that differ
    from what the entries give; UsageError if the folder has no tracks.
    """
    pages = {path: text.encode() for path, text in _pages(folder, standings.boards(folder)).items()}
    changed = {path: text for path, text in pages.items() if not path.exists() or path.read_bytes() != text}
    if check and changed:
        diffs = "\n".join(_difference(path, text) for path, text in changed.items())
        raise VerificationError(f"{diffs}\nnot what the entries give; run `ntkbench leaderboard build`")
    for path, text in changed.items():
        files.write(path, text)
    return list(changed)


def _difference(path: Path, text: bytes) -> str:
    """Return the first lines in which a page differs from what the entries give."""
    if not path.exists():
        return f"{path}: is not there"
    old = path.read_bytes().decode(errors="replace").splitlines()
    lines = list(unified_diff(old, text.decode().splitlines(), str(path), "built from the entries", n=0, lineterm=""))
    more = [f"... {len(lines) - _DIFF_LINES} more lines"] if len(lines) > _DIFF_LINES else []
    return "\n".join([one_line(line, 160) for line in lines[:_DIFF_LINES]] + more)


def _pages(folder: Path, boards: Sequence[Board]) -> dict[Path, str]:
    """Return the text of every page and table of the folder, by path."""
    pages = {folder / "README.md": index_page(boards)}
    for each in boards:
        pages[folder / each.track.name / "README.md"] = board_page(each)
        pages[folder / each.track.name / "table.csv"] = board_csv(each)
    return pages
