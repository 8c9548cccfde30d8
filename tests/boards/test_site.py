import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from ntkbench.boards import standings
from ntkbench.boards.pictures import MOST
from ntkbench.boards.site import site
from ntkbench.boards.standings import Board
from ntkbench.boards.tracks import track
from ntkbench.plan.read import read
from tests.boards.test_track import TARGETS, TEXT, written
from tests.examples import markup
from tests.examples.boards import entered, three
from tests.examples.factory import cell, planned

HOSTILE = (
    "x<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "x' onmouseover='alert(1)",
    "*bold* [a](javascript:alert(1)) `code` $x^2$",
    "</style><style>*{display:none}</style>",
    "{{ 7 * 7 }}{% raw %}&amp;&#60;",
    "‮名前 🂡",
)


@pytest.fixture(scope="module")
def boards(tmp_path_factory) -> list[Board]:
    """One track with three entries."""
    folder = tmp_path_factory.mktemp("boards")
    three(folder, track.read(written(folder)))
    return standings.boards(folder)


def pages(folder: Path) -> dict[Path, markup.Page]:
    return {path: markup.read(path.read_text("utf-8")) for path in sorted(folder.rglob("*.html"))}


def changed(board: Board, line: int = 0, rules: dict | None = None, **fields) -> Board:
    """A board with what no valid track or entry holds."""
    lines = list(board.lines)
    old = lines[line]
    assert old.entry is not None
    lines[line] = replace(old, entry=old.entry.model_copy(update=fields), name=fields.get("name", old.name))
    return Board(board.track.model_copy(update=rules or {}), tuple(lines), board.told_pairs)


@pytest.fixture(scope="module")
def made(boards, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    assert site(boards, folder) == folder / "index.html"
    return folder


def test_there_is_a_page_for_everything(made: Path):
    assert {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()} == {
        "index.html",
        "small@1/index.html",
        "small@1/table.csv",
        *(f"small@1/entries/{name}.{form}" for name in ("wide", "wider", "narrow") for form in ("html", "yaml")),
    }


def test_the_same_entries_give_the_same_site(boards, made: Path, tmp_path: Path):
    site(boards, tmp_path)
    site(boards, tmp_path)
    for path in made.rglob("*.*ml"):
        assert (tmp_path / path.relative_to(made)).read_bytes() == path.read_bytes()


def test_the_table_has_the_numbers_of_the_entries(boards, made: Path):
    page = (made / "small@1" / "index.html").read_text()
    rows = re.findall(r"<tr>\n(.*?)</tr>", page, re.DOTALL)[1:]
    for (line, entry), row in zip(boards[0].entries, rows, strict=True):
        results = entry.results
        sorted_by = re.findall(r'data-sort="([^"]*)"', row)[2:5]
        assert sorted_by == [str(line.value), *(str(result.mean) for result in results[1:])]
        assert f"{entry.score:.3f}" in row
        assert line.interval is not None
        assert f"[{line.interval[0]:.3f}, {line.interval[1]:.3f}]" in row
        assert f"± {results[1].sd:.3f}" in row
        assert f"width {entry.cells[0].cell['width']}</span>" in row
        assert '<span class="level">reproduced (1 of 4 seeds)</span>' in row
    assert '<td class="figures-column" data-sort="1">1-2 †</td>' in rows[0]


def test_the_index_names_who_leads(boards, made: Path):
    best = boards[0].ranked[0]
    text = " ".join(markup.read((made / "index.html").read_text()).text.split())
    ends = f"[{best.interval[0]:.3f}, {best.interval[1]:.3f}]"
    assert f"First: {best.name}, {best.value:.3f} {ends}; 1 other cannot be told from it." in text
    assert "2 of 3 pairs told apart" in text


def test_an_entry_shows_its_seeds_with_their_counts(boards, made: Path):
    text = markup.read((made / "small@1" / "entries" / "narrow.html").read_text()).text
    entry = boards[0].lines[2].entry
    for run, id in zip(entry.cells[0].results[0].runs, entry.run_ids, strict=True):
        assert id in text
        assert f"{run.k} of {run.n}" in text
    for words in ("Rank 3 of 3", "were run again and gave its numbers", "ntkbench run narrow.yaml", "width: 16"):
        assert words in text


def test_what_is_missing_is_a_dash_and_sorts_last(boards, tmp_path: Path):
    (board,) = boards
    first, second, *others = board.lines[0].entry.results
    none = [run.model_copy(update={"value": None, "k": None, "n": None}) for run in second.runs]
    unknown = second.model_copy(update={"runs": tuple(none), "mean": None, "sd": None, "ci95": None})
    site([changed(board, results=(first, unknown, *others))], tmp_path)
    assert '<td class="figures-column" data-sort="">–</td>' in (tmp_path / "small@1" / "index.html").read_text()


@pytest.mark.parametrize("seed_of", ["run", "data"])
def test_the_spec_of_an_entry_plans_its_runs(tmp_path: Path, seed_of: str):
    """Of all its cells, with the subsets that its seeds draw."""
    rules = track.read(written(tmp_path / "boards", TARGETS + f"seed_of: {seed_of}\n"))
    wide = cell(width=64, training={"mode": "standard", "epochs": 20})
    runs = [
        run
        for of, network in ((cell(), "small"), (wide, "wide"))
        for seed in range(3)
        for run in planned(rules.of_seed(of, seed), [seed], network=network)
    ]
    entered(tmp_path / "boards", rules, "both", runs)
    site(standings.boards(tmp_path / "boards"), tmp_path / "site")
    (path,) = (tmp_path / "site" / rules.name / "entries").glob("*.yaml")
    assert sorted(run.id for run in read(path).runs) == sorted(run.id for run in runs)


def test_references_are_marked_and_have_no_rank(tmp_path: Path):
    text = TEXT + "references:\n  narrow: {about: the floor}\n  random: {about: no attack, value: 0}\n"
    three(tmp_path / "boards", track.read(written(tmp_path / "boards", text)))
    site(standings.boards(tmp_path / "boards"), tmp_path / "site")
    shown = markup.read((tmp_path / "site" / "small@1" / "index.html").read_text()).text
    for words in ("reference: the floor", "reference: no attack", "0 of 1 pairs told apart", "orange: references"):
        assert words in shown
    page = markup.read((tmp_path / "site" / "small@1" / "entries" / "narrow.html").read_text()).text
    assert "Reference: the floor: transfer rate" in page


def test_a_track_without_entries_has_a_page(tmp_path: Path):
    written(tmp_path)
    site(standings.boards(tmp_path), tmp_path / "site")
    found = pages(tmp_path / "site")
    assert len(found) == 2
    for page in found.values():
        assert "No entries yet." in page.text
        assert not page.named("svg")


@pytest.mark.parametrize("text", [HOSTILE[0], *(pytest.param(text, marks=pytest.mark.slow) for text in HOSTILE[1:])])
def test_text_is_text_wherever_it_comes_from(boards, made: Path, text: str, tmp_path: Path):
    (board,) = boards
    of = board.lines[0].entry.cells[0]
    fields = {
        "name": "a " + text,
        "authors": (text,),
        "cells": (
            of.model_copy(update={"cell": {**of.cell, "architecture": {"kind": text, text: text}}, "label": text}),
        ),
        "software": ({text: text},),
        "device": ({"kind": text},),
    }
    columns = tuple(column.model_copy(update={"title": "c " + text}) for column in board.track.columns)
    rank = board.track.rank.model_copy(update={"title": "r " + text})
    rules = {"title": "t " + text, "about": text, "spec": text, "rank": rank, "columns": columns}
    site([changed(board, rules=rules, **fields)], tmp_path)
    plain = {tag for page in pages(made).values() for tag, _ in page.tags}
    found = pages(tmp_path)
    for page in found.values():
        assert {tag for tag, _ in page.tags} <= plain
        assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
        assert len(page.styles) == 1
    (entry,) = (page for path, page in found.items() if path.stem not in ("index", "wider", "narrow"))
    for shown in ("a " + text, text):
        assert shown in entry.text
    board_page = found[tmp_path / "small@1" / "index.html"]
    for shown in ("a " + text, "r " + text, "c " + text, "t " + text):
        assert shown in board_page.text
    assert "t " + text in found[tmp_path / "index.html"].text


def test_links_lead_somewhere(made: Path):
    found = pages(made)
    for path, page in found.items():
        for link in page.named("a"):
            to = urlsplit(link["href"])
            target = (path.parent / unquote(to.path)).resolve() if to.path else path
            assert target.is_file(), link
            assert target.is_relative_to(made)
            if to.fragment:
                assert to.fragment in found[target].values("id")


def test_links_of_entries_promise_nothing(boards, tmp_path: Path):
    site([changed(boards[0], links=("https://example.org/a?b=1&c=2",))], tmp_path)
    link = markup.read((tmp_path / "small@1" / "entries" / "wide.html").read_text()).named("a")[-2]
    assert link == {"href": "https://example.org/a?b=1&c=2", "rel": "nofollow noopener noreferrer"}


def test_nothing_is_fetched(made: Path):
    for page in pages(made).values():
        assert not [
            tag for tag, _ in page.tags if tag in ("img", "iframe", "object", "embed", "audio", "video", "base")
        ]
        assert not page.values("src")
        assert {link["href"] for link in page.named("link")} == {"data:,"}
        used = [
            attributes["href"] for tag, attributes in page.tags if tag not in ("a", "link") and "href" in attributes
        ]
        assert all(href.startswith("#") for href in used)
        assert not re.search(r"url\((?!#)|@import", "".join(page.styles))


def test_nothing_but_its_own_style_and_scripts_may_run(made: Path):
    for page in pages(made).values():
        (policy,) = (tag["content"] for tag in page.named("meta") if "http-equiv" in tag)
        hashes = [b64encode(sha256(text.encode()).digest()).decode() for text in (*page.styles, *page.scripts)]
        allowed = dict(rule.split(" ", 1) for rule in policy.split("; "))
        assert allowed["default-src"] == "'none'"
        assert set(allowed) == {"default-src", "style-src", "script-src", "img-src", "base-uri", "form-action"}
        assert re.findall(r"'sha256-([^']*)'", policy) == hashes
        assert "unsafe" not in policy
        assert not page.values("style")


def test_names_inside_a_page_are_its_own(made: Path):
    for page in pages(made).values():
        ids = page.values("id")
        assert len(set(ids)) == len(ids)
        labels = {*page.values("aria-labelledby"), *page.values("for"), *page.values("aria-describedby")}
        assert labels <= set(ids)


def test_of_a_long_board_the_pictures_show_the_first(boards, tmp_path: Path):
    (board,) = boards
    old = board.lines[0]
    lines = [
        replace(old, name=f"no. {i}", entry=old.entry.model_copy(update={"name": f"no. {i}"})) for i in range(MOST + 5)
    ]
    site([Board(board.track, tuple(lines), 0)], tmp_path)
    page = markup.read((tmp_path / "small@1" / "index.html").read_text())
    assert f"the first {MOST} of {MOST + 5} rows" in page.text
    assert page.text.count(f"no. {MOST}") == 1, "in the table alone"
    assert page.text.count("no. 0\n") == 2
