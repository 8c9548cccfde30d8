"""Models of a spec file: a header, and the cells that it spans, each one experiment.

The `Header` says what the file is called, which cells it spans and how to run them; nothing in it can change a number.
A `Cell` is one resolved experiment, and everything in it can: a run is identified by its cell and its seed. What is
cached together is nested together, so that sections are cache keys.

Models are strict, frozen, and refuse fields that they do not know. Notation is free, values are not: `8/255`, `16/510`
and `"8/255"` are one exact fraction, `0.1` and `1e-1` one number.
"""

import zlib
from typing import Annotated, Any, Literal, get_origin

from pydantic import Field

from ntkbench.spec.analyses import Analysis, TransferMatrix
from ntkbench.spec.architectures import Architecture, FunctionNetwork, Given
from ntkbench.spec.attacks import SELF, AnyAttack, GradientAttack, LossAscent, with_loss
from ntkbench.spec.data import NTGA, Data
from ntkbench.spec.kernels import InfiniteKernel, Kernel
from ntkbench.spec.notation import (
    Bytes,
    Count,
    Expects,
    Id,
    Name,
    Names,
    NonNegative,
    Positive,
    Seconds,
    Seed,
    Seeds,
    Texts,
)
from ntkbench.spec.section import Section
from ntkbench.spec.training import Descent, Phased, Pretrained, Training, Untrained


class Numerics(Section):
    """Precision of the computation. Solves and eigendecompositions are always float64."""

    kernel: Literal["float64", "float32"] = "float64"
    """precision of kernels and of attacks on them"""
    network: Literal["float64", "float32"] = "float32"
    """precision of networks, their training and attacks on them"""


_SEEDS = 2**31
"""number of seeds that there are; after the largest one they begin again at 0"""


class Network(Section):
    """A network beside the run's own, on the same training examples; what is not written is as in the run's own."""

    architecture: Architecture | None = None
    """the network without its width; null: the cell's own"""
    width: Count | None = None
    """units of the hidden layers; null: the cell's own"""
    training: Training | None = None
    """how the network is fitted; null: as the cell's own"""
    seed_offset: Seed | None = None
    """added to the seed of the run, it gives the seed that draws weights and batches; 0: the run's own seed; null: a
    number that follows from the id, so that no two networks of a run start alike"""

    def offset(self, name: str) -> int:
        """Return what is added to the seed of a run for the network with the id `name`."""
        return zlib.crc32(name.encode()) % _SEEDS if self.seed_offset is None else self.seed_offset


class Cell(Section):
    """One resolved experiment."""

    data: Data
    """which examples, and how many"""
    architecture: Architecture
    """the network without its width: a recipe for a finite one and for its limit"""
    width: Count | None = None
    """units of the hidden layers; null when the cell has no finite network"""
    training: Training = Untrained(mode="none")
    """how the network is fitted; mode none leaves it as it was drawn"""
    kernels: dict[Id, Kernel] = Field(default={})
    """predictors by kernel regression, by id"""
    networks: dict[Id, Network] = Field(
        default={}, json_schema_extra={"as_before": {}}, exclude_if=lambda networks: not networks
    )
    """further networks beside the run's own, by id: sources of attacks, and targets"""
    attacks: dict[Id, AnyAttack] = Field(default={})
    """ways to perturb test points, by id"""
    analyses: Annotated[dict[Id, Analysis], Field(min_length=1)]
    """what is measured, by id; one at least"""
    numerics: Numerics = Numerics()
    """precision of the computation"""

    @property
    def has_network(self) -> bool:
        """Return whether there is a finite network, `self`: one that is drawn with a width, or that is a function."""
        return self.width is not None or isinstance(self.architecture, FunctionNetwork)

    @property
    def has_known_training(self) -> bool:
        """Return whether there is a network whose whole training, none included, is part of the cell."""
        unknown = isinstance(self.architecture, Given) or isinstance(self.training, Pretrained)
        return self.has_network and not unknown

    @property
    def has_several_outputs(self) -> bool:
        """Return whether each class has an output of its own: two classes share one, and synthetic sets have two."""
        known = self.data.classes or (self.data.entry.classes if self.data.entry else ())
        return len(known) > 2

    @property
    def predictors(self) -> tuple[str, ...]:
        """Return the names of all predictors: `self` where there is a network, kernels, further networks."""
        return (*([SELF] if self.has_network else []), *self.kernels, *self.networks)

    @property
    def attacks_of_many_sources(self) -> frozenset[str]:
        """Return the ids of the attacks that a transfer matrix makes on other sources than their own."""
        return frozenset(each.attack for each in self.analyses.values() if isinstance(each, TransferMatrix))

    def attack_on(self, attack_id: str, source: str) -> str:
        """Return the name by which `attack` knows an attack when it is made on `source`: its id, or `ID:SOURCE`."""
        return attack_id if getattr(self.attacks[attack_id], "source", source) == source else f"{attack_id}:{source}"

    def attack(self, name: str) -> AnyAttack:
        """Return an attack by its id or, as `ID:SOURCE`, on another source, with a loss in the place of `auto`.

        The loss suits the one that the source was fitted with. Outputs that were fitted to one-hot targets with squared
        loss are of order one. Their softmax is nearly uniform, so the gradient of cross-entropy pulls at all classes
        alike and attacks along it are weak; the margin looks at the nearest rival class alone. With a single output
        both losses have gradients of the same sign.
        """
        own, _, source = name.partition(":")
        attack = self.attacks[own]
        if not isinstance(attack, GradientAttack):
            return attack
        if source:
            attack = attack.model_copy(update={"source": source})
        if not isinstance(attack, LossAscent):
            return attack
        return with_loss(attack, self.has_several_outputs and self._has_squared_loss(attack.source))

    def _has_squared_loss(self, who: str) -> bool:
        """Return whether a predictor, a kernel or a network, was fitted with squared loss, as kernels are."""
        training = self.as_own(who).training
        last = training.phases[-1] if isinstance(training, Phased) else training
        is_kernel = who not in (SELF, *self.networks)
        return is_kernel or (isinstance(last, Descent) and last.loss == "mse")

    def as_own(self, who: str) -> "Cell":
        """Return the cell in which the further network `who` is the run's own; this cell for any other predictor.

        It has no analyses, no further networks, and no kernels but the one that a poison is made for: what depends on
        the network alone is the same in all cells that have it, so that they share its training.
        """
        if (words := self.networks.get(who)) is None:
            return self
        fields = {name: getattr(words, name) for name in ("architecture", "width", "training")}
        written = {name: value for name, value in fields.items() if value is not None}
        return self.model_copy(update={**written, "kernels": self._fooled(), "networks": {}, "analyses": {}})

    def _fooled(self) -> dict[str, InfiniteKernel]:
        """Return the kernel that a poison is made for, if there is one, with its architecture and width here."""
        name = self.data.poison.kernel if isinstance(self.data.poison, NTGA) else ""
        if not isinstance(kernel := self.kernels.get(name), InfiniteKernel):
            return {}
        fields = {"architecture": kernel.architecture or self.architecture, "width": kernel.width or self.width}
        return {name: kernel.model_copy(update=fields)}

    def seed_of(self, who: str, seed: int) -> int:
        """Return the seed that draws the network `who`, `self` or a further one, in a run with this seed."""
        words = self.networks.get(who)
        return seed if words is None else (seed + words.offset(who)) % _SEEDS


BY_ID = tuple(name for name, field in Cell.model_fields.items() if get_origin(field.annotation) is dict)
"""sections of a cell that are mappings by id"""

# ---- the header: names, and how to run -----------------------------------------------------------


class Resources(Section):
    """The share of a machine that a unit of work takes, for executors that share machines out."""

    cpu: Positive = 1.0
    """cores; a part of one is possible"""
    gpu: NonNegative | None = None
    """accelerators; a part of one is possible; null: one where there are any"""
    memory: Bytes | None = None
    """memory of the machine; null: no claim on it"""


class RunOptions(Section):
    """Options of running: speed alone, recorded and never part of a run's identity."""

    tile_bytes: Bytes | None = None
    """memory of one tile of a Gram matrix or of one batch of an attack; null: from the memory of the device"""
    checkpoint_every: Count = 50
    """epochs between checkpoints of the training"""
    timeout: Seconds | None = None
    """longest time of one run (of a training that n runs share, n times as long); null: no limit"""
    resources: Resources = Resources()
    """what `--executor ray` reserves for runs that share a training"""


class Header(Section):
    """Names and ways of running; nothing here can change the numbers of a cell."""

    ntkbench: Annotated[Literal[1], Expects("1, the version of the format that this program reads")]
    """version of the format"""
    name: Name
    """what tables and records call it"""
    title: str = ""
    """what the spec is about, in a line"""
    about: str = ""
    """the question, and why it is asked"""
    references: Texts = ()
    """publications, such as arXiv:2210.05577"""
    tags: Texts = ()
    """words to find it by"""
    track: (
        Annotated[
            str, Field(pattern=r"^[a-z0-9-]+@[0-9]+$"), Expects("a track and its version, such as transfer-fashion@1")
        ]
        | None
    ) = None
    """the leaderboard that entries from this spec are meant for"""
    extends: Names = ()
    """files that this one builds on, relative to it; later ones win, this file wins over all"""
    matrix: dict[str, Any] = Field(default={})
    """axes: a path with its values, or a name whose labels each set several paths; exclude: cells to leave out"""
    seeds: Annotated[
        Annotated[int, Field(gt=0, le=10_000)] | Seeds, Expects("the number of seeds (1 to 10000) or a list of them")
    ] = 1
    """how many seeds, or a list of them"""
    seed_of: Literal["run", "data"] = "run"
    """run: seeds draw networks and batches; data: they also draw the training subset, on the same test points"""
    run: RunOptions = RunOptions()
    """how to run: speed alone, never part of a run's identity"""
    smoke: dict[str, Any] = Field(default={})
    """overrides that `--smoke` applies: the same experiment, small enough to try"""

    @property
    def seed_values(self) -> tuple[int, ...]:
        """The seeds themselves; a number n of seeds stands for 0 to n - 1."""
        return self.seeds if isinstance(self.seeds, tuple) else tuple(range(self.seeds))


NOT_IN_THE_CELL = frozenset(Header.model_fields)
"""top-level keys of a spec file that belong to the header"""

LATER = frozenset(
    name
    for name, field in Cell.model_fields.items()
    if isinstance(field.json_schema_extra, dict) and "as_before" in field.json_schema_extra
)
"""sections that a later version added: what was written before says nothing of them, and means them to be empty"""
