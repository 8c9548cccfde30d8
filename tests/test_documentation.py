"""The documentation as a site: it builds without a warning, has everything, and asks nothing of other hosts."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def build(folder: Path) -> Path:
    """Build the site into a folder, and return it; skip the test where the tools are missing, fail at a warning."""
    tools = ("mkdocs", "material", "mkdocstrings", "latex2mathml")
    if missing := [name for name in tools if importlib.util.find_spec(name) is None]:
        pytest.skip(f"without {', '.join(missing)}; pip install '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("site"))


@pytest.mark.slow
def test_every_page_of_the_repository_is_on_it(site: Path):
    pages = [*ROOT.glob("docs/*.md"), *ROOT.glob("*.md"), *ROOT.glob("leaderboards/**/README.md")]
    assert len(pages) > 30
    for page in pages:
        place = site / page.relative_to(ROOT).with_suffix(".html")
        assert (place.with_name("index.html") if page.stem == "README" else place).is_file(), page


@pytest.mark.slow
def test_nothing_is_taken_from_other_hosts(site: Path):
    taken = re.compile(r"<(?:script|img|iframe|source)[^>]* src=\"?(?:https?:)?//|<link[^>]* href=\"?(?:https?:)?//")
    for page in site.rglob("*.html"):
        assert not taken.search(page.read_text("utf-8")), page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//", style.read_text("utf-8")), style


@pytest.mark.slow
def test_every_formula_is_set(site: Path):
    page = (site / "docs" / "metrics.html").read_text("utf-8")
    assert page.count('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">') > 30
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        assert "arithmatex" not in text, page
        assert not re.search(r"<m\w+>\\", text), f"{page}: a command of TeX that MathML's translator does not know"
