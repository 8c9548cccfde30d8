"""Write a spec to start from: `ntkbench init` calls `write`, and `--list` shows the `questions`.

write(Path("mine.yaml"), "drift")
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from ntkbench.errors import UsageError

TEMPLATES = ("transfer", "accuracy", "eigenspace", "drift")
"""analyses that there is a commented spec for; the first is written where none is named"""
_FOLDER = Path(__file__).with_name("starters")


def write(path: Path, template: str = TEMPLATES[0]) -> None:
    """Write a commented spec to `path`, which must not exist, and name the spec after the file.

    Characters of the file's name that a spec's name cannot have become hyphens. Raises UsageError where there is a file
    already, or none can be written.

    Args:
        path: the file to write.
        template: an analysis, one of TEMPLATES.
    """
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in path.stem).lstrip("._-")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_text(template).replace("name: experiment", f"name: {name or 'experiment'}", 1))
    except FileExistsError:
        raise UsageError(f"{path} is there already; choose another name") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None


def questions() -> Mapping[str, str]:
    """Return the question that each template asks: the second line of its file."""
    return MappingProxyType({name: _text(name).splitlines()[1].removeprefix("# ") for name in TEMPLATES})


@cache
def _text(template: str) -> str:
    return (_FOLDER / f"{template}.yaml").read_text("utf-8")
