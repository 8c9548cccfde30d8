"""Hold images before and after they were moved: test images by an attack, and training images by a poison."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ntkbench.api import pictures
from ntkbench.results.plots.images import pairs

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Images:
    """The test images of a run, clean and attacked, and the classes that its target predicts; pixels are in [0, 1]."""

    attack: str
    """id of the attack"""
    eps: str
    """its budget, as the spec writes it"""
    target: str
    """who classifies: `self` or the id of a kernel"""
    clean: np.ndarray
    """(n, rows, columns, channels)"""
    adversarial: np.ndarray
    """the attacked images, of the same shape"""
    labels: np.ndarray
    """(n,): the true class of each image, as a number from 0 on"""
    predicted: np.ndarray
    """(n,): the class that the target predicts of each clean image"""
    predicted_adversarial: np.ndarray
    """(n,): the class that it predicts of each attacked image"""
    classes: tuple[str, ...]
    """names of the classes"""

    @property
    def fooled(self) -> np.ndarray:
        """(n,): whether the target is right on the clean image, and wrong on the attacked one."""
        return (self.predicted == self.labels) & (self.predicted_adversarial != self.labels)

    def plot(self, first: int = 8) -> "Figure":
        """Draw the first images: clean, attacked, and their difference; fooled ones come first."""
        order = np.argsort(~self.fooled, kind="stable")[:first]
        said = (self.predicted, self.predicted_adversarial)
        before, after = ([self.classes[label] for label in predicted[order]] for predicted in said)
        return pairs.figure(self.clean[order], self.adversarial[order], before, after)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"<Images: {len(self)} under {self.attack} at {self.eps}, {int(self.fooled.sum())} fool {self.target}>"

    def _repr_html_(self) -> str:
        return f"{pictures.html(self.plot())}<p>{repr(self)[1:-1]}</p>"


@dataclass(frozen=True, eq=False)
class PoisonedImages:
    """The training images of a run before and after they were poisoned; pixels are in [0, 1]."""

    kind: str
    """how they were poisoned: `ntga` or `random_sign`"""
    eps: str
    """the budget, as the spec writes it"""
    clean: np.ndarray
    """(n, rows, columns, channels)"""
    poisoned: np.ndarray
    """the poisoned images, of the same shape"""
    labels: np.ndarray
    """(n,): the class of each image, as a number from 0 on"""
    classes: tuple[str, ...]
    """names of the classes"""

    def plot(self, first: int = 8) -> "Figure":
        """Draw the first images: clean, poisoned, and their difference."""
        names = [self.classes[label] for label in self.labels[:first]]
        return pairs.figure(self.clean[:first], self.poisoned[:first], names, (), "poisoned")

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"<PoisonedImages: {len(self)} by {self.kind} at {self.eps}>"

    def _repr_html_(self) -> str:
        return f"{pictures.html(self.plot())}<p>{repr(self)[1:-1]}</p>"
