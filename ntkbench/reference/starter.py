"""Write a spec to start from: `ntkbench init` calls `write`."""

from pathlib import Path

from ntkbench.errors import UsageError


def write(path: Path) -> None:
    """Write `starter.yaml` to `path`, which must not exist, and name the spec after the file.

    Characters of the file's name that a spec's name cannot have become hyphens. Raises UsageError where there is a file
    already, or none can be written.
    """
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in path.stem).lstrip("._-")
    text = Path(__file__).with_suffix(".yaml").read_text("utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text.replace("name: experiment", f"name: {name or 'experiment'}", 1))
    except FileExistsError:
        raise UsageError(f"{path} is there already; choose another name") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
