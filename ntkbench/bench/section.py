"""A mapping of the spec, as a model."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Strict, frozen, without unknown fields. Its docstring and its fields' descriptions are the reference's text."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True)
