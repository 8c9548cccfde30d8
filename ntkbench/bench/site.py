"""Leaderboards as a website: files that any host serves and any browser opens from disk."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ntkbench.bench.entry import Entry, slug
from ntkbench.bench.identity import leaves
from ntkbench.bench.page import Board, Standing, board_csv, columns, rules
from ntkbench.bench.plots import standings, svg
from ntkbench.bench.track import Track, within
from ntkbench.bench.verify import LEVELS
from ntkbench.bench.webpage import COPYING, SORTING, as_yaml, webpage


def site(boards: Sequence[Board], output: Path) -> Path:
    """Write all pages; returns the first to open."""
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
    own = _differences(board)
    ranks = Counter(line.rank for line in board.lines)
    yield "index.html", _track_page(board, own)
    yield "table.csv", board_csv(board)
    for line in board.lines:
        place = f"entries/{slug(line.entry.name)}"
        spec = as_yaml(_spec(line.entry, board.track))
        yield f"{place}.html", _entry_page(board, line, own[line.entry.name], ranks[line.rank], spec)
        yield f"{place}.yaml", spec


def _track_page(board: Board, own: Mapping[str, str]) -> str:
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
        slug=slug,
    )


def _entry_page(board: Board, line: Standing, own: str, sharing: int, spec: str) -> str:
    return webpage(
        "entry.html.j2",
        COPYING,
        line=line,
        track=board.track,
        own=own,
        sharing=sharing,
        entries=len(board.lines),
        columns=(board.track.rank, *board.track.columns),
        ranked=rules(board)[0],
        seeds=_seeds(line.entry),
        level=_level,
        spec=spec,
        file=f"{slug(line.entry.name)}.yaml",
    )


def _level(line: Standing) -> tuple[str, str]:
    """The level of an entry, and what that means."""
    return line.level, LEVELS[line.level]


def _spec(entry: Entry, track: Track) -> dict[str, Any]:
    """The whole experiment as a spec file: it plans the runs of the entry, by their ids."""
    return {"ntkbench": 1, "name": slug(entry.name), "track": track.name, "seeds": list(entry.seeds)} | entry.cell


def _seeds(entry: Entry) -> list[tuple[int, str, list]]:
    """Of each seed its run and what it measured, column by column."""
    return [
        (seed, id, [result.runs[place] for result in entry.results])
        for place, (seed, id) in enumerate(zip(entry.seeds, entry.run_ids, strict=True))
    ]


def _figures(board: Board) -> list[tuple[Markup, str]]:
    with standings.applied():
        return [
            (Markup(svg.inline(picture.figure, picture.name, picture.caption)), picture.caption)
            for picture in standings.pictures(board)
        ]


def _differences(board: Board) -> dict[str, str]:
    """Of each entry what is free and not the same in all that have it: `width 1024, centered`."""
    free = {
        line.entry.name: {path: value for path, value in leaves(line.entry.cell) if within(path, board.track.free)}
        for line in board.lines
    }
    paths = list(dict.fromkeys(path for found in free.values() for path in found))
    varying = [path for path in paths if len({repr(found[path]) for found in free.values() if path in found}) > 1]
    return {name: ", ".join(_said(found, varying)) for name, found in free.items()}


def _said(found: Mapping[str, Any], paths: Sequence[str]) -> Iterator[str]:
    """What is off or not there is left out."""
    for path in paths:
        name, value = path.rpartition(".")[2], found.get(path)
        if value is True:
            yield name
        elif isinstance(value, (int, float, str)) and value is not False:
            yield f"{name} {value}"
