from dataclasses import replace
from math import inf

import pytest

from ntkbench.boards import standings, submit
from ntkbench.boards.pictures import applied, pictures
from ntkbench.boards.standings import Board
from ntkbench.boards.tracks import track
from tests.boards.test_track import written
from tests.examples.factory import cell, planned, store


@pytest.fixture(scope="module")
def board(tmp_path_factory) -> Board:
    folder = tmp_path_factory.mktemp("boards")
    rules = track.read(written(folder))
    for width, rate in ((512, 0.9), (16, 0.1)):
        runs = planned(cell(width=width), range(3), width=str(width))
        records = store(folder / "records", runs, rate=rate)
        submit.save(submit.make(rules, runs, records, folder / "records", name=f"width ${width}$"), folder)
    (found,) = standings.boards(folder)
    return found


def drawn(board: Board) -> dict:
    with applied():
        return {picture.name: picture for picture in pictures(board)}


def test_what_it_ranks_by_and_that_against_accuracy(board: Board):
    ranking, scatter = drawn(board).values()
    (axes,) = ranking.figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["width $512$  a", "width $16$  b"]
    assert axes.get_xlabel() == "transfer rate"
    assert "all rows" in ranking.caption
    (axes,) = scatter.figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("clean accuracy", "transfer rate")
    points = {(x, y) for line in axes.lines if line.get_marker() == "o" for x, y in line.get_xydata()}
    assert points == {(entry.results[1].mean, entry.score) for _, entry in board.entries}


def test_a_name_means_nothing_but_itself(board: Board):
    """Not mathematics, which may be wrong and cannot be drawn then."""
    named = {"name": r"a $\frac{$ b"}
    lines = tuple(replace(line, **named, entry=entry.model_copy(update=named)) for line, entry in board.entries)
    with applied():
        for picture in pictures(replace(board, lines=lines)):
            picture.figure.canvas.draw()


def test_an_interval_without_ends_is_no_bar(board: Board):
    lines = tuple(replace(line, interval=(-inf, inf)) for line in board.lines)
    (axes,) = drawn(replace(board, lines=lines))["ranking"].figure.axes
    lengths = [end[0] - start[0] for bars in axes.collections for start, end in bars.get_segments()]
    assert lengths == [0.0, 0.0]


def test_one_entry_is_not_weighed_against_anything(board: Board):
    assert list(drawn(replace(board, lines=board.lines[:1]))) == ["ranking"]
    assert drawn(replace(board, lines=())) == {}
