"""What specs can say. No JAX here: `ntkbench validate` answers at once, with these kinds too."""

from typing import ClassVar, Literal

from ntkbench.data.catalog import DatasetInfo
from ntkbench.spec.analyses import ExtensionAnalysis
from ntkbench.spec.architectures import ExtensionArchitecture, ExtensionNetwork
from ntkbench.spec.attacks import ExtensionAttack
from ntkbench.spec.data import ExtensionDataset
from ntkbench.spec.layers import Activation, Dense, Flatten, Layer
from ntkbench.spec.notation import BelowOne, Count, Positive
from ntkbench.vocabulary import Metric


class Bottleneck(ExtensionArchitecture):
    """Wide ReLU layers with narrow ones between them."""

    kind: Literal["bottleneck"]
    depth: Count = 1
    """pairs of a wide and a narrow layer"""
    narrow: Count = 16
    """units of the narrow layers"""

    def stack(self) -> tuple[Layer, ...]:
        relu = Activation(op="relu")
        pair = (Dense(op="dense"), relu, Dense(op="dense", width=self.narrow), relu)
        return (Flatten(op="flatten"), *pair * self.depth, Dense(op="dense"))


class EquinoxMLP(ExtensionNetwork):
    """The multilayer perceptron of Equinox; ntkbench knows nothing of its layers."""

    kind: Literal["equinox_mlp"]
    depth: Count = 1
    """hidden layers"""

    builder: ClassVar[str] = "ntkbench_example.numbers:equinox_mlp"


class MIM(ExtensionAttack):
    """The momentum iterative method (Dong et al. 2018)."""

    kind: Literal["mim"]
    steps: Count = 10
    """each with one gradient"""
    decay: BelowOne = 0.9
    """share of the gradients before that is kept"""

    builder: ClassVar[str] = "ntkbench_example.numbers:mim"
    revision: ClassVar[int] = 1
    """raised when its results change: they are then other runs"""


class Noise(ExtensionAnalysis):
    """Accuracy and margin on test images with Gaussian noise."""

    kind: Literal["noise"]
    sd: Positive = 0.1
    """standard deviation, in pixel units"""

    builder: ClassVar[str] = "ntkbench_example.numbers:noise"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            "mean_margin",
            unit="outputs",
            higher_is_better=True,
            meaning="mean over test points of the output of the label less the largest other one",
            formula=r"\frac{1}{N} \sum_x \left(T_y(x) - \max_{c \ne y} T_c(x)\right)",
        ),
    )
    """numbers that ntkbench has no name for; a new definition of one raises its `revision`"""


class Stripes(ExtensionDataset):
    """Noisy images of stripes: horizontal or vertical?"""

    kind: Literal["stripes"]
    side: Count = 8
    """rows and columns"""
    sd: Positive = 0.2
    """of the noise"""

    builder: ClassVar[str] = "ntkbench_example.numbers:stripes"

    @property
    def entry(self) -> DatasetInfo:
        return DatasetInfo(
            name="stripes",
            title="Stripes",
            classes=("horizontal", "vertical"),
            shape=(self.side, self.side, 1),
            train_counts=(500, 500),
            test_counts=(200, 200),
            licence="MIT",
        )
