"""The pages in docs: what they show is what happens, what is generated is what the program would write."""

import doctest
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


@pytest.fixture(autouse=True)
def root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_the_sessions_in_python_go_as_they_are_shown():
    text = (DOCS / "python.md").read_text("utf-8")
    session = doctest.DocTestParser().get_doctest(text, {}, "python.md", "docs/python.md", 0)
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(session, out=told.append)
    assert runner.tries > 15
    assert runner.failures == 0, "".join(told)
