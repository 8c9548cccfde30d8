"""A mapping of the spec, as a model."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Strict, frozen, without unknown fields. Its docstring and the texts below its fields are the reference's text.

    Built when it is first used: no spec uses all of them.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", defer_build=True)
