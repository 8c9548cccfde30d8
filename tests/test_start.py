"""The page *Get started* goes as it is shown: its programs and commands run, and print what it says they print."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "start.md"
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"\d*\.\d+")
FEW = 0.07
"""two of the 30 test images of the small run, which another machine may decide otherwise"""


@pytest.mark.slow
def test_the_page_goes_as_it_is_shown(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("NTKBENCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(PAGE.parent.parent))
    shown = ""
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    assert [language for language, _, _ in blocks].count("sh") >= 5
    for language, title, text in blocks:
        if language == "python":
            Path(title).write_text(text, "utf-8")
        elif language == "text":
            agree(text, shown)
        elif not text.startswith("pip install"):
            shown = run(text.replace("\\\n", " ").split())
    assert Path("curve.png").stat().st_size > 10_000


def run(words: list[str]) -> str:
    """Run a command of the page with the Python of this test, and return what it printed."""
    program = {"python": [sys.executable], "ntkbench": [sys.executable, "-m", "ntkbench"]}[words[0]]
    ran = subprocess.run([*program, *words[1:]], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def agree(told: str, shown: str) -> None:
    """Check that a page tells how an output begins; numbers may differ by a few test points."""
    begins = "\n".join(shown.splitlines()[: len(told.splitlines())])
    assert NUMBER.sub("#", told).split() == NUMBER.sub("#", begins).split()
    assert [*map(float, NUMBER.findall(told))] == pytest.approx([*map(float, NUMBER.findall(begins))], abs=FEW)
