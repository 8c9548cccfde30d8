"""The base classes of the sections of a spec: of all, and of those that name files."""

import os
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from ntkbench.spec.notation import Expects


class Section(BaseModel):
    """Base of the models of a spec's sections: strict, frozen, without unknown fields.

    The docstring of a section and the texts below its fields are the text of the reference page. A section's validator
    is built when it is first used, since no spec uses all of them.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", defer_build=True)


def _name(path: str) -> str:
    """Return the last part of a path: records and entries do not tell in which folder of whom a file was."""
    return os.path.basename(os.path.normpath(path))


FilePath = Annotated[
    str,
    Field(min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f]*$", json_schema_extra={"identity": False}),
    PlainSerializer(_name, return_type=str),
    Expects("the path of a file or folder, relative to the file that names it"),
]
"""a path, absolute once a spec is read; what counts for a run is the content, not the path"""
Digest = Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$"), Expects("a digest such as sha256:0123... (64 digits)")]


PATHS = ("path", "train", "test", "weights")
"""fields of sections that are paths"""


class FileSection(Section):
    """Base of the sections that name files, whose content is part of a run's identity."""

    content: Digest | None = None
    """digest of the content of the files, filled in when a spec is read; where it is written, files with another
    content are refused"""

    @property
    def paths(self) -> tuple[str, ...]:
        """The files and folders that the section names."""
        return tuple(getattr(self, name) for name in PATHS if hasattr(self, name))
