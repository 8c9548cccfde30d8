"""What is measured along a training, in words."""

from typing import Annotated, Literal

from ntkbench.bench.notation import Count, Counts, Moments, Says, Several, Splits
from ntkbench.bench.section import Section


class Probe(Section):
    """The examples on which kernels are taken: equally many of each class, the first ones of the data."""

    n: Count = 100
    """how many, of all classes together"""
    split: Literal["train", "test"] = "train"
    """from which of the two"""


class Drift(Section):
    """How the kernel of the network moves along its training: how far, until when, in which directions."""

    kind: Literal["drift"]
    target: Literal["self"] = "self"
    """the run's own network"""
    snapshots: Annotated[Several | Moments, Says("a number of snapshots, or a list of epochs such as [0, 1/4, 1]")] = 20
    """a number: so many whole epochs at even distances up to the end, and 0; to a list 0 and the end are added"""
    probe: Probe = Probe()
    """the same for all snapshots"""
    layout: Literal["full", "trace"] = "full"
    """full: every pair of outputs; trace: their mean, as small as the kernel of one output"""
    top: Counts = (10, 20)
    """how many eigenvectors are told from the rest; numbers that leave no rest are left out"""
    keep_kernels: Literal["none", "ends", "all"] = "none"
    """which kernels are kept beside the record, in float32"""
    accuracy_on: Splits = ("test",)
    """the examples on which accuracies are counted"""
    accuracy_at: Literal["all", "ends", "final"] = "all"
    """at which snapshots"""
    attack: str | None = None
    """a gradient attack on self, for robust accuracies; null: none"""
    adversarial_probe: str | None = None
    """a gradient attack on self with one budget, made anew on the probe at each snapshot; null: only the clean one"""
