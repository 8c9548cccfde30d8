"""Write the reference pages docs/spec.md, metrics.md and cli.md from the program itself.

Field texts come from the models of a spec, formulas from `formulas`, and the help of commands from click. `ntkbench
reference` writes the pages; with `--check` it fails if one is out of date.
"""

import json
from collections.abc import Iterator, Sequence
from math import inf
from pathlib import Path
from typing import Any

import click

from ntkbench import files
from ntkbench.errors import VerificationError
from ntkbench.metrics import METRICS
from ntkbench.reference.examples import EXAMPLES
from ntkbench.render import markdown, table
from ntkbench.spec import schema
from ntkbench.spec.cell import NOT_IN_THE_CELL, Cell
from ntkbench.spec.identity import canonical
from ntkbench.spec.reading.messages import expected
from ntkbench.spec.schema import Schema
from ntkbench.vocabulary import FORMULAS, NOTATION

_NOTE = "<!-- written by `ntkbench reference`: what it says is what the program does -->"
"""first line of every page"""
_DEFS = "#/$defs/"
"""beginning of references in a JSON Schema"""
_LATER = ("matrix", "run", "smoke")
"""sections of the header that the page shows after those of the cell"""
_BETTER = {True: "higher", False: "lower"}
"""the direction in which a metric improves, by `higher_is_better`"""
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
    pages = {"spec.md": spec_page(), "metrics.md": metrics_page(), "cli.md": cli_page(commands)}
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
    parts, known = [], set[str]()
    for name in names:
        models = dict.fromkeys(_models(properties[name]))
        parts.append(_section(name, properties[name], [model for model in models if model not in known]))
        known |= set(models)
    contents = "\n".join(["- [the header](#the-header): names, and how to run", *contents])
    return "\n\n".join(("# The spec", _ABOUT_SPECS, contents, "## The header", _table(header), *parts))


def _section(name: str, field: Schema, models: Sequence[str]) -> str:
    """Return a section's text, example and tables; `models`: those that no earlier section has described."""
    parts = [f"## {name}", _prose(_sentence(field["description"]))]
    if name in EXAMPLES:
        parts.append(f"```yaml\n{EXAMPLES[name].strip()}\n```")
    if not models:
        parts.append(f"{_prose(_sentence(expected(field)))} {_default(field, 'Default: ')}".strip())
    for model in models:
        whole = field.get("$ref") == _DEFS + model
        parts += [_table(_model(model)["properties"])] if whole else [_heading(model), *_described(model)]
    return "\n\n".join(parts)


def _heading(model: str) -> str:
    """Return a model's heading with an anchor: its word in a spec, or its class name where it has no kinds."""
    found = _model(model)
    tag = schema.tag(found)
    name = f"`{tag}: {', '.join(map(str, schema.words(found['properties'][tag])))}`" if tag else model.lower()
    return f'### <a id="{_anchor(model)}"></a>{name}'


def _described(model: str) -> Iterator[str]:
    """Yield a model's description and the table of its fields."""
    found = _model(model)
    yield _prose(_sentence(found["description"]))
    tag = schema.tag(found)
    fields = {name: field for name, field in found["properties"].items() if name != tag or "description" in field}
    if fields:
        yield _table(fields)


def _table(fields: dict[str, Schema]) -> str:
    """Return the table of fields: name, value, default, meaning."""
    rows = [
        [f"`{name}`", _type(field), _default(field) or "required", _prose(field.get("description", ""))]
        for name, field in fields.items()
    ]
    return table(["field", "value", "default", "meaning"], rows, "md")


def _type(field: Schema) -> str:
    """Return what a field accepts, in English; kinds link to their own tables."""
    models = list(_references(field))
    if "$comment" in field or not models:
        return _prose(expected(field))
    links = ", ".join(f"[{_word(model)}](#{_anchor(model)})" for model in models)
    nullable = any(branch.get("type") == "null" for branch in schema.branches(field))
    return links + (", or null" if nullable else "")


def _word(model: str) -> str:
    """Return the word by which links call a model."""
    found = _model(model)
    tag = schema.tag(found)
    return markdown(schema.words(found["properties"][tag])[0] if tag else model.lower())


def _default(field: Schema, before: str = "") -> str:
    """Return a field's default as JSON in backticks, after the text `before`; nothing if it is required."""
    return f"{before}`{json.dumps(canonical(field['default']))}`" if "default" in field else ""


def _model(name: str) -> Schema:
    """Return the schema of a model."""
    return schema.document()["$defs"][name]


def _anchor(model: str) -> str:
    return f"model-{model.lower()}"


def _references(field: Any) -> Iterator[str]:
    """Yield the models that a field names directly."""
    if isinstance(field, dict):
        if (reference := field.get("$ref", "")).startswith(_DEFS):
            yield reference.removeprefix(_DEFS)
        for below in field.values():
            yield from _references(below)
    elif isinstance(field, list):
        for below in field:
            yield from _references(below)


def _models(field: Schema, known: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the models that a field names, each before those that it names itself."""
    for name in _references(field):
        if name not in known:
            yield name
            yield from _models(_model(name), known | {name})


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
            "higher" if m.higher_is_better else "lower",
            str(m.revision),
        ]
        for m in METRICS.values()
    ]
    overview = table(["metric", "unit", "range", "better", "revision"], rows, "md")
    parts = [f"## {m.name}\n\n{_prose(_sentence(m.meaning))}\n\n$$\n{FORMULAS[m.name]}\n$$" for m in METRICS.values()]
    return "\n\n".join(("# The metrics", _ABOUT_METRICS, overview, "## Notation", NOTATION, *parts))


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
