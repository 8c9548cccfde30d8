"""The base class of all sections of a spec."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of the models of a spec's sections: strict, frozen, without unknown fields.

    The docstring of a section and the texts below its fields are the text of the reference page. A section's validator
    is built when it is first used, since no spec uses all of them.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", defer_build=True)
