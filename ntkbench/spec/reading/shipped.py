"""Find the specs that come with ntkbench by their names, so that they can be run from any folder.

    resolve("transfer/fitted")      # /.../specs/transfer/fitted.yaml
    resolve("my/own.yaml")          # my/own.yaml

The wheel carries the repository's folder `specs` inside the package; in a clone it lies beside the package.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from ntkbench.errors import SpecError
from ntkbench.spec.document import SourcePosition
from ntkbench.spec.reading import parse
from ntkbench.text import did_you_mean

PACKAGE = Path(__file__).parents[2]
"""folder of the package"""
_NAME = re.compile(r"[\w-]+(/[\w-]+)*")
_BASES = "base"
"""folder of the documents that specs extend, which are no specs themselves"""


def folder() -> Path:
    """Return the folder of the shipped specs."""
    inside = PACKAGE / "specs"
    return inside if inside.is_dir() else PACKAGE.parent / "specs"


def names() -> Sequence[str]:
    """Return the names of the shipped specs, sorted: their paths within the folder, without `.yaml`."""
    found = (path.relative_to(folder()) for path in folder().rglob("*.yaml"))
    return sorted(path.with_suffix("").as_posix() for path in found if path.parts[0] != _BASES)


def resolve(spec: str) -> str:
    """Return the file of a spec: a file that exists, or else the shipped spec of that name.

    What is neither, and looks like a file, is returned as it is. Raise SpecError for an unknown name.
    """
    if Path(spec).exists() or not _NAME.fullmatch(spec):
        return spec
    if spec not in (known := names()):
        message = "there is no such file, and no spec of this name comes with ntkbench (`ntkbench run --list`)"
        raise SpecError([SourcePosition(spec, 1, 1).problem("", message + did_you_mean(spec, known))])
    return str(folder() / f"{spec}.yaml")


def title(name: str) -> str:
    """Return the title of a shipped spec, or its name if it has none."""
    node = parse.read(str(folder() / f"{name}.yaml")).child("title")
    return str(node.value) if node else name
