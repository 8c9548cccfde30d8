from ntkbench.spec.schema import described
from ntkbench.spec.section import Section


class Base(Section):
    """A section."""

    one: int
    """the first"""
    two: int = 2


class Derived(Base):
    """It builds on another."""

    two: int = 2
    """the second,
    in two lines"""
    inner: Base | None = None


def test_texts_of_a_section_its_base_and_the_sections_in_it():
    schema = described(Derived.model_json_schema(), Derived)
    about = {name: field.get("description") for name, field in schema["properties"].items()}
    assert about == {"one": "the first", "two": "the second,\nin two lines", "inner": None}
    inner = schema["$defs"]["Base"]["properties"]
    assert inner["one"]["description"] == "the first"
    assert "description" not in inner["two"]
