"""Write the reference pages docs/spec.md, metrics.md, cli.md and api.md from the program itself.

Field texts come from the models of a spec, formulas from the vocabulary, the help of commands from click, and the
Python interface from its docstrings. `ntkbench reference` writes the pages; with `--check` it fails if one is out of
date.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from ntkbench import files
from ntkbench.errors import VerificationError
from ntkbench.reference import interface
from ntkbench.render import markdown, table
from ntkbench.spec import schema
from ntkbench.spec.cell import NOT_IN_THE_CELL, Cell, Header
from ntkbench.spec.identity import canonical
from ntkbench.spec.reading.messages import expected
from ntkbench.spec.schema import Schema
from ntkbench.vocabulary import checks, notation, own_metrics

_NOTE = "<!-- written by `ntkbench reference`: what it says is what the program does -->"
"""first line of every page"""
Model = type[BaseModel]
"""a model of a section of a spec, or of a kind of it"""
_LATER = ("matrix", "run", "smoke")
"""sections of the header that the page shows after those of the cell"""
_HELP: dict[str, Any] = {"terminal_width": 100, "help_option_names": ["-h", "--help"]}
"""settings of click for the help texts"""
_ABOUT_SPECS = """
A spec is a YAML file. Its header says what it is called and how to run it, and can change no number. All else says
what is computed, and is part of a run's identity. `8/255` is an exact fraction and `inf` a number. Fields that are
*required* may also stand in a file that the spec `extends`. `ntkbench validate` tells every mistake at its line and
column, `ntkbench explain` where each value comes from; [spec-v1.schema.json](spec-v1.schema.json) is for editors.
""".strip()
_ABOUT_METRICS = """
What the numbers of a record are called and mean. *Better* says which way a table or a leaderboard points, where one has
to; a revision grows when a definition changes, so that old and new numbers are never compared unseen. Shares of test
points come as k of n with a Wilson 95 % interval, means over test points with Student's.
""".strip()
_ABOUT_CHECKS = """
A run checks the properties that its numbers rest on. Tables mark numbers of runs with failed checks by †; `run`, `show`
and reports say what failed; leaderboards refuse such runs unless their rules allow the check.
""".strip()
_ABOUT_COMMANDS = """
Every command tells this with `--help`. A SPEC is a file ([spec.md](spec.md)). Exit codes: 0 all is well; 1 a run is not
ok, or a file cannot be used; 2 the spec or the command is wrong; 3 numbers are not what they claim to be; 130
interrupted.
""".strip()


def write(folder: Path, commands: click.Group, check: bool = False) -> list[Path]:
    """Write the reference pages into a folder; return those that changed.

    `commands`: the program's group of commands. With `check` nothing is written. Raise VerificationError with `check`
    if a page is out of date.
    """
    pages = {
        "spec.md": spec_page(),
        "metrics.md": metrics_page(),
        "cli.md": cli_page(commands),
        "api.md": interface.page(),
    }
    wanted = {folder / name: f"{_NOTE}\n\n{text.strip()}\n".encode() for name, text in pages.items()}
    changed = [path for path, text in wanted.items() if not path.exists() or path.read_bytes() != text]
    if check and changed:
        names = ", ".join(map(str, changed))
        raise VerificationError(f"{names}: not what the program says; run `ntkbench reference -o {folder}`")
    for path in changed:
        files.write(path, wanted[path])
    return changed


# ---- specs ---------------------------------------------------------------------------------------


def spec_page() -> str:
    """Return the page of a spec: every section, every kind, every field."""
    properties = schema.document()["properties"]
    names = [*Cell.model_fields, *_LATER]
    header = {name: field for name, field in properties.items() if name in NOT_IN_THE_CELL and name not in names}
    contents = [f"- [`{name}`](#{name}): {_prose(properties[name]['description'])}" for name in names]
    parts, known, examples = [], set[Model](), _examples()
    for name in names:
        annotation = (Cell.model_fields | Header.model_fields)[name].rebuild_annotation()
        parts.append("\n\n".join(_section(name, properties[name], annotation, examples.get(name), known)))
        known |= set(_models(annotation))
    contents = "\n".join(["- [the header](#the-header): names, and how to run", *contents])
    return "\n\n".join(("# The spec", _ABOUT_SPECS, contents, "## The header", _table(Header, header), *parts))


def _examples() -> dict[str, str]:
    """Return the sections of `examples.yaml` by their names, as text."""
    text = Path(__file__).with_name("examples.yaml").read_text("utf-8")
    sections = re.split(r"^(?=\w)", text, flags=re.MULTILINE)
    return {section.partition(":")[0]: section.strip() for section in sections}


def _section(name: str, field: Schema, annotation: Any, example: str | None, known: Collection[Model]) -> Iterator[str]:
    """Yield a section's text, example and tables; `known`: models that an earlier section has described."""
    yield f"## {name}"
    yield _prose(_sentence(field["description"]))
    if example is not None:
        yield f"```yaml\n{example}\n```"
    models = [model for model in dict.fromkeys(_models(annotation)) if model not in known]
    if not models:
        yield f"{_prose(_sentence(expected(field)))} {_default(field, 'Default: ')}".strip()
    for model in models:
        if model is annotation:
            yield _table(model, _schema(model)["properties"])
        else:
            yield _heading(model)
            yield from _described(model)


def _heading(model: Model) -> str:
    """Return a model's heading with an anchor: its word in a spec, or its class name where it has no kinds."""
    found = _schema(model)
    tag = schema.tag(found)
    name = f"`{tag}: {', '.join(map(str, schema.words(found['properties'][tag])))}`" if tag else _name(model)
    return f'### <a id="model-{_name(model)}"></a>{name}'


def _described(model: Model) -> Iterator[str]:
    """Yield a model's description and the table of its fields."""
    found = _schema(model)
    yield _prose(_sentence(found["description"]))
    tag = schema.tag(found)
    fields = {name: field for name, field in found["properties"].items() if name != tag or "description" in field}
    if fields:
        yield _table(model, fields)


def _table(model: Model, fields: Mapping[str, Schema]) -> str:
    """Return the table of fields of a model: name, value, default, meaning."""
    rows = [
        [
            f"`{name}`",
            _type(field, model.model_fields[name].rebuild_annotation()),
            _default(field) or "required",
            _prose(field.get("description", "")),
        ]
        for name, field in fields.items()
    ]
    return table(["field", "value", "default", "meaning"], rows, "md")


def _type(field: Schema, annotation: Any) -> str:
    """Return what a field accepts, in English; kinds link to their own tables."""
    models = list(schema.models(annotation))
    if "$comment" in field or not models:
        return _prose(expected(field))
    links = ", ".join(f"[{_word(model)}](#model-{_name(model)})" for model in models)
    nullable = any(branch.get("type") == "null" for branch in schema.branches(field))
    return links + (", or null" if nullable else "")


def _word(model: Model) -> str:
    """Return the word by which links call a model."""
    found = _schema(model)
    tag = schema.tag(found)
    return markdown(schema.words(found["properties"][tag])[0] if tag else _name(model))


def _default(field: Schema, before: str = "") -> str:
    """Return a field's default as JSON in backticks, after the text `before`; nothing if it is required."""
    return f"{before}`{json.dumps(canonical(field['default']))}`" if "default" in field else ""


def _schema(model: Model) -> Schema:
    """Return the schema of a model."""
    return schema.document()["$defs"][model.__name__]


def _name(model: Model) -> str:
    """Return the name of a model in anchors."""
    return model.__name__.lower()


def _models(annotation: Any, known: frozenset[Model] = frozenset()) -> Iterator[Model]:
    """Yield the models that an annotation names, each before those that its own fields name."""
    for model in schema.models(annotation):
        if model not in known:
            yield model
            for field in model.model_fields.values():
                yield from _models(field.rebuild_annotation(), known | {model})


def _sentence(text: str) -> str:
    """Return a text with a capital at the start and a full stop at the end."""
    text = text.removesuffix(".")
    return f"{text[:1].upper()}{text[1:]}."


def _prose(text: str) -> str:
    """Return a docstring as Markdown on one line; what stands between backticks stays as it is."""
    parts = " ".join(text.split()).split("`")
    return "`".join(part if i % 2 else markdown(part) for i, part in enumerate(parts))


# ---- metrics -------------------------------------------------------------------------------------


def metrics_page() -> str:
    """Return the page of metrics: an overview, the notation, and every metric with its formula."""
    rows = [
        [
            f"[`{m.name}`](#{m.name})",
            m.unit,
            _range(m.range),
            m.better,
            str(m.revision),
        ]
        for m in own_metrics().values()
    ]
    overview = table(["metric", "unit", "range", "better", "revision"], rows, "md")
    parts = [f"## {m.name}\n\n{_prose(_sentence(m.meaning))}\n\n$$\n{m.formula}\n$$" for m in own_metrics().values()]
    failed = [[f"`{code}`", _prose(_sentence(meaning))] for code, meaning in checks().items()]
    told = ("## Checks", _ABOUT_CHECKS, table(["check", "what it means that it failed"], failed, "md"))
    return "\n\n".join(("# The metrics", _ABOUT_METRICS, overview, "## Notation", notation(), *parts, *told))


def _range(bounds: tuple[float, float]) -> str:
    """Return the range of a metric as text."""
    low, high = ("∞" if end == inf else "-∞" if end == -inf else f"{end:g}" for end in bounds)
    return f"{low} to {high}"


# ---- commands ------------------------------------------------------------------------------------


def cli_page(commands: click.Group) -> str:
    """Return the page of the command line: the help of every command."""
    top = click.Context(commands, info_name="ntkbench", **_HELP)
    pages = list(_commands(commands, top))
    contents = "\n".join(f"- [`{name}`](#{name.replace(' ', '-')}): {about}" for name, about, _ in pages)
    parts = [f"## {name}\n\n```text\n{text}\n```" for name, _, text in pages]
    return "\n\n".join(("# The command line", _ABOUT_COMMANDS, contents, *parts))


def _commands(group: click.Group, above: click.Context) -> Iterator[tuple[str, str, str]]:
    """Yield name, first sentence and help of every command, those of groups included."""
    for name, command in sorted(group.commands.items()):
        here = click.Context(command, info_name=name, parent=above, **_HELP)
        if isinstance(command, click.Group):
            yield from _commands(command, here)
        else:
            yield here.command_path, command.get_short_help_str(200), command.get_help(here)
