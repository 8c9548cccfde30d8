"""What `mkdocs build` does beside its own: it takes pages from where the repository has them, and sets formulas.

The site has the folders of the repository, so that the links between pages are right in both:
`../leaderboards/README.md` of a page in `docs` is the same page on the site.
"""

import html
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
SHOWN = (
    "*.md",
    "CITATION.cff",
    "benchmarks/RESULTS.md",
    "docs/*.md",
    "docs/*.css",
    "docs/*.js",
    "docs/*.json",
    "docs/examples/**/*",
    "docs/figures/*",
    "docs/vendor/*",
    "specs/**/*",
    "leaderboards/**/*",
)
"""files that are on the site, as patterns in the repository"""
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
MADE = re.compile(r"<!-- (ntkbench show .*?) -->\n(.*?)<!-- end -->", re.DOTALL)
"""a table that a test compares with the records, below the command that makes it"""


def on_config(config: Any) -> Any:
    """Name every leaderboard in the navigation."""
    boards = [{path.parent.name: f"leaderboards/{path.parent.name}/README.md"} for path in _boards()]
    (section,) = [each for each in config.nav if "Leaderboards" in each]
    section["Leaderboards"] = [{"All": "leaderboards/README.md"}, *boards]
    return config


def _boards() -> list[Path]:
    return sorted(ROOT.glob("leaderboards/*/README.md"))


def on_files(files: Files, config: Any) -> Files:
    """Return the files of the site: those of the theme, and those of the repository at their own places."""
    kept = [each for each in files if each.src_dir != config.docs_dir]
    paths = {
        path for pattern in SHOWN for path in ROOT.glob(pattern) if path.is_file() and "__pycache__" not in path.parts
    }
    names = sorted(path.relative_to(ROOT).as_posix() for path in paths)
    return Files([*kept, *(File.generated(config, name, abs_src_path=str(ROOT / name)) for name in names)])


def on_page_markdown(text: str, page: Any, **_: Any) -> str:
    """Return the text of a page in which the commands that make tables are seen, and numbers stay on one line."""
    if page.file.src_uri.startswith("leaderboards/"):
        return f'<div class="numbers" markdown>\n\n{text}\n\n</div>' if page.file.src_uri.count("/") == 2 else text
    return MADE.sub(r'<div class="numbers" markdown>\n\n`\1`\n\n\2\n\n</div>', text)


def on_page_content(content: str, **_: Any) -> str:
    """Return the HTML of a page with its formulas, which are TeX, as MathML, which browsers show by themselves."""
    return FORMULA.sub(_mathml, content.replace("<th></th>", "<td></td>"))  # heads without a word are none


def _mathml(found: re.Match[str]) -> str:
    """Return a formula as MathML; those in paragraphs of their own are displayed, and scroll where they are wide."""
    tex = html.unescape(found[2].strip()).replace(r"\arg", r"\mathrm{arg}\,")  # which the translator does not know
    formula = convert(tex, display="block" if found[1] == "div" else "inline").replace(r"\_", "_")
    return formula if found[1] == "span" else f'<div class="formula" tabindex="0">{formula}</div>'
