"""Changes of a text as a tree, YAML or JSON: bytes at random seldom come further than the first bracket."""

import io
import json
import random
import warnings
import zipfile
from collections.abc import Iterator
from itertools import islice
from typing import Any

import yaml

from ntkbench.spec import schema

Path = tuple[str | int, ...]
EVIL: tuple[Any, ...] = (
    None, True, "", " ", 0, -1, 1, 2, 3, 10, 10**9, 10**9 + 1, 2**31, 2**53 + 1, 2**63, 2**64, 10**299, -(10**299),
    0.0, -0.0, 0.5, 5e-324, 1e-300, 1e300, float("nan"), float("inf"), "inf", "nan", "1/0", "1/3", "8/255", "0/1",
    "1/" + "9" * 290, "1e-999999999", "1e999999999", "0x1f", "1:30", "2024-01-31", "010", "1_000", "on", "~",
    "../../etc/passwd", "/dev/zero", "C:\\nul", "..", ".", "a/b", "-rf", "$(id)", "; id", "%s%n", "{0}", "{{7*7}}",
    "<script>", "javascript:alert(1)", "=1+1", "@SUM(A1)", "\x1b[31m", "\u202e", "\ufeff", "é", "\U0001f600",
    "[/red]", "$\\frac$", "!!python/object/apply:os.system", "os:system", "self", "none", "all", "same", "outputs",
    "x" * 201, "x" * 1001, "9x", "0x",
    [], {}, [[]], [{}], {"": 1}, {"<<": 1}, {"kind": "fgsm"}, [0] * 50, "__class__", "__init__",
)  # fmt: skip


def words() -> list[str]:
    """All that a spec can say: names of fields, and what stands in those of few words."""
    found = dict.fromkeys(_words(schema.document()))
    return [word for word in found if isinstance(word, str)]


def _words(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from node.get("properties", {})
        yield from schema.words(node)
        for below in node.values():
            yield from _words(below)
    elif isinstance(node, list):
        for below in node:
            yield from _words(below)


def mutated(data: bytes, form: str, seed: int, known: list[str]) -> bytes | None:
    """The text after some changes of its tree; None if it has none."""
    rng = random.Random(seed)
    if form == "npz":
        return _rezipped(data, rng)
    try:
        tree = (
            json.loads(data)
            if form == "json"
            else yaml.load(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        )
    except (ValueError, yaml.YAMLError, RecursionError, OverflowError, AttributeError):
        return None
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        tree = _changed(tree, rng, known)
    try:
        return (json.dumps(tree) if form == "json" else yaml.dump(tree, sort_keys=False, allow_unicode=True)).encode()
    except (ValueError, yaml.YAMLError, RecursionError):
        return None


def _rezipped(data: bytes, rng: random.Random) -> bytes | None:
    """An archive whose checksums are right again: else nothing comes further than these."""
    buffer = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name)[:2000] for name in archive.namelist()}
    except Exception:  # whatever zipfile finds wrong with what was mutated before
        return None
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", rng.choice((0, 8))) as archive:
        warnings.simplefilter("ignore")
        for name, content in members.items():
            archive.writestr(name, _edited(content, rng) if rng.random() < 0.5 else content)
    return buffer.getvalue()


def _edited(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(min(128, len(content)) + 1)
    token = rng.choice(
        (b"", b"0", b"9" * 25, b", ", b"(", b"'|O'", b"<f8", b"|S0", b"None", b"\n", bytes([rng.randrange(256)]))
    )
    return content[:at] + token + content[at + rng.choice((0, len(token), 1)) :]


def _changed(tree: Any, rng: random.Random, known: list[str]) -> Any:
    paths = list(islice(_paths(tree), 2000))
    path = rng.choice(paths)
    value = _at(tree, path)
    other = _at(tree, rng.choice(paths))
    match rng.randrange(8):
        case 0 | 1:
            return _with(tree, path, rng.choice(EVIL))
        case 2:
            return _with(tree, path, rng.choice(known))
        case 3:
            return _with(tree, path, other)
        case 4 if isinstance(value, dict):
            return _with(tree, path, {**value, rng.choice(known): other})
        case 5 if isinstance(value, dict) and value:
            gone = rng.choice(list(value))
            return _with(tree, path, {key: below for key, below in value.items() if key != gone})
        case 6 if isinstance(value, dict) and value:
            old, new = rng.choice(list(value)), rng.choice((rng.choice(known), str(rng.choice(EVIL))[:300]))
            return _with(tree, path, {new if key == old else key: below for key, below in value.items()})
        case 7 if isinstance(value, list):
            return _with(tree, path, value * rng.choice((2, 3, 20)))
        case _ if isinstance(value, (int, float)) and abs(value) < 1e300:
            return _with(tree, path, rng.choice((value + 1, -value, value * 2, value / 3)))
    return _with(tree, path, [value, other])


def _paths(tree: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    if len(path) < 40 and isinstance(tree, (dict, list)):
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield from _paths(tree[key], (*path, key))


def _at(tree: Any, path: Path) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _with(tree: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    key, *rest = path
    copy = tree.copy()
    copy[key] = _with(tree[key], tuple(rest), value)
    return copy
