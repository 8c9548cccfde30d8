"""Write leaderboards as a website: static files that any host serves and any browser opens from disk.

`ntkbench leaderboard site` writes an index, a page and a CSV table for each track, and a page and a spec for each
entry.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ntkbench.boards.checks import LEVELS
from ntkbench.boards.entry import Entry
from ntkbench.boards.pages import BEST, board_csv, columns, rules
from ntkbench.boards.pictures import applied, pictures
from ntkbench.boards.standings import Board, Standing
from ntkbench.boards.tracks.track import Track
from ntkbench.results.plots import svg
from ntkbench.results.web import COPYING, SORTING, as_yaml, webpage
from ntkbench.spec.identity import leaves
from ntkbench.text import slug


def site(boards: Sequence[Board], output: Path) -> Path:
    """Write all pages below the folder `output`; return the path of the index."""
    files = {"index.html": webpage("index.html.j2", boards=boards)}
    for each in boards:
        for name, text in _files(each):
            files[f"{each.track.name}/{name}"] = text
    for folder in {(output / name).parent for name in files}:
        folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (output / name).write_text(text, "utf-8")
    return output / "index.html"


def _files(board: Board) -> Iterator[tuple[str, str]]:
    """Yield the files of one board: their names below the track's folder, and their text."""
    own = _differences(board)
    yield "index.html", _track_page(board, own)
    yield "table.csv", board_csv(board)
    for line, entry in board.entries:
        place = f"entries/{slug(entry.name)}"
        spec = as_yaml(_spec(entry, board.track))
        yield f"{place}.html", _entry_page(board, line, entry, own[entry.name], spec)
        yield f"{place}.yaml", spec


def _track_page(board: Board, own: Mapping[str, str]) -> str:
    """Return the page of a track. `own` says of each entry by name how it differs from the others."""
    return webpage(
        "track.html.j2",
        (*SORTING, *COPYING),
        board=board,
        track=board.track,
        own=own,
        figures=_figures(board),
        columns=columns(board.track),
        rules=rules(board),
        level=_level,
        best=BEST,
        slug=slug,
    )


def _entry_page(board: Board, line: Standing, entry: Entry, own: str, spec: str) -> str:
    """Return the page of an entry. `spec` is the text of the file that runs it again."""
    return webpage(
        "entry.html.j2",
        COPYING,
        line=line,
        entry=entry,
        track=board.track,
        own=own,
        entries=len(board.ranked),
        columns=board.track.all_columns,
        measured=board.track.measured,
        ranked=rules(board)[0],
        level=_level,
        spec=spec,
        file=f"{slug(entry.name)}.yaml",
    )


def _level(line: Standing) -> tuple[str, str]:
    """Return the level of verification of an entry, and what that level means; two empty texts where it has none."""
    return (str(line.level), LEVELS[line.level.level]) if line.level else ("", "")


def _spec(entry: Entry, track: Track) -> dict[str, Any]:
    """Return the whole experiment as a spec file: it plans the runs of the entry, by their ids."""
    seeds = {"seeds": list(entry.seeds)} | ({"seed_of": "data"} if track.seed_of == "data" else {})
    return {"ntkbench": 1, "name": slug(entry.name), "track": track.name, **seeds, **_cells(entry)}


def _cells(entry: Entry) -> dict[str, Any]:
    """Return the cells of an entry as one, with an axis for the sections in which they differ."""
    first, *others = (each.cell for each in entry.cells)
    differ = [section for section in first if any(other[section] != first[section] for other in others)]
    axis = {each.label: {section: each.cell[section] for section in differ} for each in entry.cells}
    same = {section: value for section, value in first.items() if section not in differ}
    return same | ({"matrix": {"target": axis}} if differ else {})


def _figures(board: Board) -> list[tuple[Markup, str]]:
    """Return the figures of a board as inline SVG, with their captions."""
    with applied():
        return [
            (Markup(svg.inline(picture.figure, picture.name, picture.caption)), picture.caption)
            for picture in pictures(board)
        ]


def _differences(board: Board) -> dict[str, str]:
    """Return for each entry by name what is free on its track and differs between entries: `width 1024, centered`.

    Of an entry of several cells the first stands for all, as they are equal in what is free.
    """
    free = {
        entry.name: {path: v for path, v in leaves(entry.cells[0].cell) if not board.track.frozen_of([path])}
        for _, entry in board.entries
    }
    paths = list(dict.fromkeys(path for found in free.values() for path in found))
    varying = [path for path in paths if len({repr(found[path]) for found in free.values() if path in found}) > 1]
    return {name: ", ".join(_settings(found, varying)) for name, found in free.items()}


def _settings(found: Mapping[str, Any], paths: Sequence[str]) -> Iterator[str]:
    """Yield name and value of each path that an entry has; of what is on, the name alone; of what is off, nothing."""
    for path in paths:
        name, value = path.rpartition(".")[2], found.get(path)
        if value is True:
            yield name
        elif isinstance(value, (int, float, str)) and value is not False:
            yield f"{name} {value}"
