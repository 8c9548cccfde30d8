"""Measure how the package is built: how far a value travels through its files, sizes, documentation.

    python -m benchmarks.house            # about a minute: it runs a tiny experiment
    python -m benchmarks.house --static   # only what the source tells

**The way of a value.** A tiny experiment with the budget `eps: 13/977` is run, submitted to a leaderboard and shown
there, in this process, while each line that the package executes is traced. A frame *holds* the budget if one of its
local variables is the budget: a text of at most 80 characters with `13/977` in it, an object whose own text is that
(`Fraction`, `Budget`), the float 13/977, or a list, tuple, set or mapping with one of these among its items. Objects
that have the budget in a field, such as a whole cell, do not count, nor do arrays. The files of the frames that hold
it, in the order of execution and without repetitions in a row, are its way: *files* are the different ones among
them, *changes* the steps from one to the next, and *returns* those steps that lead to a file that was on the way
before.

**The source.** *Modules in the largest folder* and *lines of the largest file* leave `ntk` out. *Hidden imports* are
import statements inside functions. A docstring *begins with a fragment* if its first word is one of `FRAGMENTS`;
strings below a field or a constant are no docstrings. *Documentation* is the share of lines that are docstrings,
strings below fields and constants, or comments. *Ledger* are the lines of all packages but `ntk`, `data` and
`analyses`.
"""

import argparse
import ast
import os
import sys
import tempfile
import threading
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import ntkbench
from ntkbench.cli.main import main as command
from ntkbench.render import table

PACKAGE = Path(ntkbench.__file__).parent
FRAGMENTS = (
    *(
        "of",
        "what",
        "whether",
        "those",
        "that",
        "where",
        "when",
        "which",
        "how",
        "why",
        "who",
        "whose",
        "so",
        "as",
        "if",
    ),
    *("for", "in", "on", "by", "to", "from", "with", "and", "or", "but"),
)
"""words with which no sentence of a docstring begins"""
LABEL, RADIUS = "13/977", 13 / 977
CELL = f"""
data: {{dataset: {{kind: two_gaussians, dim: 6}}, n_train: 12, n_test: 10}}
architecture: {{kind: fc, depth: 1}}
width: 8
training: {{mode: standard, epochs: 1}}
kernels: {{limit: {{kind: infinite}}}}
attacks:
  ntk: {{kind: fgsm, source: limit, eps: {LABEL}}}
analyses:
  robustness: {{kind: accuracy, target: self, attacks: ntk}}
"""
TRACK = f"""
schema: ntkbench.track/2
allow_failed: [source_and_target_at_equal_time]
title: House
about: The way of a budget.
spec: spec.yaml
frozen: [data, attacks, analyses, numerics]
free: [architecture, width, training, kernels]
rank: {{title: robust, metric: robust_accuracy, where: {{attack: ntk, eps: {LABEL}}}, order: descending}}
columns: [{{title: clean, metric: accuracy, where: {{target: self}}}}]
min_seeds: 2
tolerance: {{fraction: 0.05}}
mini: {{width: 9}}
cell:
"""


class Way:
    """The files whose frames hold the budget, in the order of execution, without repetitions in a row."""

    def __init__(self) -> None:
        self.files: list[str] = []

    def call(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Trace the lines of frames of the package; `sys.settrace` calls it for each new frame."""
        return self.line if frame.f_code.co_filename.startswith(str(PACKAGE)) else None

    def line(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Note the file of a frame that holds the budget."""
        file = frame.f_code.co_filename
        if not (self.files and self.files[-1] == file) and any(map(holds, list(frame.f_locals.values()))):
            self.files.append(file)
        return self.line

    @property
    def returns(self) -> int:
        """The number of steps to a file that was on the way before."""
        return len(self.files) - len(set(self.files))


def holds(value: object, depth: int = 1) -> bool:
    """Return whether a value is the budget, or a container with the budget among its items."""
    if isinstance(value, str):
        return len(value) <= 80 and LABEL in value
    if isinstance(value, float):
        return value == RADIUS
    if isinstance(value, (list, tuple, set, frozenset)):
        return depth > 0 and any(holds(item, depth - 1) for item in list(value)[:50])
    if isinstance(value, dict):
        return depth > 0 and any(holds(item, depth - 1) for item in list(value.values())[:50])
    return type(value).__name__ in ("Fraction", "Budget") and str(value) == LABEL


def way() -> Way:
    """Run the tiny experiment, submit it, and build the leaderboard, in a temporary folder."""
    found = Way()
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        board = Path("leaderboards") / "house@1"
        board.mkdir(parents=True)
        Path("spec.yaml").write_text(f"ntkbench: 1\nname: house\nseeds: 2\n{CELL}")
        (board / "track.yaml").write_text(TRACK + "".join(f"  {line}\n" for line in CELL.splitlines() if line))
        threading.settrace(found.call)
        sys.settrace(found.call)
        try:
            for words in (
                ["run", "spec.yaml"],
                ["submit", "spec.yaml", "--track", "house@1", "--name", "House", "--allow-dirty", "--no-mini"],
                ["leaderboard", "build"],
            ):
                _succeed(words)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
            os.chdir(before)
    return found


def _succeed(words: Sequence[str]) -> None:
    """Execute a command in this process; RuntimeError if it fails."""
    try:
        command(["--debug", *words])
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"ntkbench {' '.join(words)} ends with {end.code}") from None


def sources() -> dict[Path, str]:
    """Return the source of each file of the package, by its path in the package."""
    return {path.relative_to(PACKAGE): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


def largest_folder(files: Mapping[Path, str]) -> tuple[int, str]:
    """Return the number of modules in the folder with the most, and its name."""
    modules = Counter(str(path.parent) for path in files if path.name not in ("__init__.py", "__main__.py"))
    del modules["ntk"]
    return max((count, folder) for folder, count in modules.items())


def largest_file(files: Mapping[Path, str]) -> tuple[int, str]:
    """Return the number of lines of the longest file, and its path."""
    ours = {path: text for path, text in files.items() if path.parts[0] != "ntk"}
    return max((len(text.splitlines()), str(path)) for path, text in ours.items())


def hidden_imports(files: Mapping[Path, str]) -> int:
    """Return the number of import statements inside functions."""
    hidden = {
        (path, node.lineno)  # a function inside a function counts once
        for path, text in files.items()
        for function in ast.walk(ast.parse(text))
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    return len(hidden)


def docstrings(files: Mapping[Path, str]) -> list[str]:
    """Return the docstrings of all modules, classes and functions."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = (node for text in files.values() for node in ast.walk(ast.parse(text)) if isinstance(node, documented))
    return [found for node in nodes if (found := ast.get_docstring(node))]


def is_fragment(docstring: str) -> bool:
    """Return whether a docstring begins with a word of `FRAGMENTS`."""
    return docstring.split(maxsplit=1)[0].strip("`*,.:").lower() in FRAGMENTS


def documentation(files: Mapping[Path, str]) -> float:
    """Return the share of lines that only document."""
    lines = sum(len(text.splitlines()) for text in files.values())
    return sum(len(set(_documenting(path, text))) for path, text in files.items()) / lines


def _documenting(path: Path, text: str) -> Iterator[int]:
    """Yield the numbers of the lines that are a string on its own, or a comment."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)
    with (PACKAGE / path).open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT and token.line.lstrip().startswith("#"):
                yield token.start[0]


def ledger(files: Mapping[Path, str]) -> int:
    """Return the lines of the package without the science, the data sets and the analyses."""
    rest = (text for path, text in files.items() if path.parts[0] not in ("ntk", "data", "analyses"))
    return sum(len(text.splitlines()) for text in rest)


def main() -> None:
    """Print a table of all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--static", action="store_true", help="only what the source tells")
    asked = parser.parse_args()
    files = sources()
    texts = docstrings(files)
    modules, folder = largest_folder(files)
    lines, longest = largest_file(files)
    rows = [
        ["modules in the largest folder", str(modules), folder],
        ["lines of the largest file", str(lines), longest],
        ["hidden imports", str(hidden_imports(files)), "import statements inside functions"],
        ["docstrings that begin with a fragment", str(sum(map(is_fragment, texts))), f"of {len(texts)}"],
        ["documentation", f"{documentation(files):.1%}", "docstrings and comments, of all lines"],
        ["ledger", str(ledger(files)), "lines without ntk, data and analyses"],
    ]
    if not asked.static:
        found = way()
        rows = [
            ["files on the way of eps", str(len(set(found.files))), "from the YAML to a leaderboard"],
            ["changes of file", str(len(found.files) - 1), ""],
            ["returns to a file", str(found.returns), ""],
            *rows,
        ]
    print(table(["figure", "value", ""], rows, "md"))


if __name__ == "__main__":
    main()
