import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, get_origin

import jsonschema
import pytest

from ntkbench.spec import cell, schema
from ntkbench.spec.attacks import FGSM, PGD, RandomSign
from ntkbench.spec.document import plain
from ntkbench.spec.reading.parse import parse
from tests.examples.cells import EXAMPLE

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs" / "spec-v1.schema.json"
SPECS = sorted((ROOT / "specs").rglob("*.yaml"))


def as_json(value: object) -> Any:
    """What an editor sees, for whom fractions and infinities are text."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    return "inf" if value == math.inf else value


def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(schema.dumps()))


def test_the_committed_schema_is_current():
    """If not, write `schema.dumps()` there."""
    assert COMMITTED.read_text(encoding="utf-8") == schema.dumps()


def test_what_is_inherited_can_be_dropped():
    value = {section: {"own": None} for section in cell.BY_ID}
    assert not [error.message for error in validator().iter_errors(value)]
    assert [*validator().iter_errors({"data": None})]


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(json.loads(schema.dumps()))


@pytest.mark.parametrize("text", [EXAMPLE, *(path.read_text() for path in SPECS)], ids=lambda text: text[:0])
def test_good_specs_are_valid(text: str):
    value = as_json(plain(parse(text, "spec.yaml")))
    assert not [error.message for error in validator().iter_errors(value)]


@pytest.mark.parametrize(
    "text",
    [
        "nmae: x",
        "name: a b",
        "data: {n_trian: 3}",
        "data: {n_train: 0}",
        "data: {classes: [bag]}",
        "width: 3.5",
        "attacks: {own: {kind: fgms}}",
        "attacks: {own: {eps: -1}}",
        "attacks: {own: {eps: 8 / 255}}",
        "training: {mode: linearised}",
        "kernels: {limit: {kind: infinite, time: 0}}",
        "seeds: 0",
        "matrix: {width: []}",
        "matrix: {width: 3}",
        "matrix: {exclude: {width: 3}}",
        "smoke: {epochs: 3}",
        "smoke: {data: {n_train: 0}}",
    ],
)
def test_bad_specs_are_not(text: str):
    assert list(validator().iter_errors(as_json(plain(parse(text, "spec.yaml")))))


def test_paths():
    root = parse("{kernels: {limit: {kind: infinite}}, matrix: {width: [1], size: {}}}", "s")
    known = schema.paths(root)
    assert {
        "width",
        "data.dataset.sd",
        "kernels.limit",
        "kernels.limit.architecture.depth",
        "seeds",
        "run.timeout",
    } <= known
    assert {"training.optimizer.b1", "training.optimizer.momentum", "matrix.width", "matrix.size"} <= known
    assert not {"kernels.other", "kernels.other.ridge", "extends", "smoke"} & known
    assert schema.elsewhere("linearize_at", known) == "training.linearize_at"
    assert schema.elsewhere("nothing", known) is None


def test_models_are_named_by_unions_lists_and_mappings():
    annotation = dict[str, tuple[FGSM | PGD, ...] | None] | Annotated[RandomSign, "about it"] | str
    assert list(schema.models(annotation)) == [FGSM, PGD, RandomSign]
    assert [get_origin(each) or each for each in schema.alternatives(annotation)] == [dict, RandomSign, str]


def test_what_stands_at_a_path_depends_on_the_kind():
    root = parse("{attacks: {a: {kind: fgsm}, b: {kind: pgd}, c: {}}}", "s")
    assert schema.at(("attacks", "a", "steps"), root) is None
    assert schema.at(("attacks", "b", "steps"), root) is not None
    assert schema.at(("attacks", "c", "steps"), root) is not None
    assert schema.at(("attacks", "b", "eps", 0), root) is not None
    assert schema.tags(schema.at(("attacks", "a"), root) or {}) == (
        "fgsm",
        "pgd",
        "apgd",
        "square",
        "fab",
        "autoattack",
        "random_sign",
        "images",
    )
    modes = ("none", "pretrained", "standard", "linearized", "adversarial", "phased")
    assert schema.tags(schema.at(("training",), root) or {}) == modes
