"""The words of a spec for what is measured along a training: the analysis `drift`, and its probe."""

from typing import Annotated, Literal

from ntkbench.bench.notation import Count, Counts, Moments, Says, Several, Splits
from ntkbench.bench.section import Section


class Probe(Section):
    """The examples on which kernels are taken: equally many of each class, the first ones of the data."""

    n: Count = 100
    """number of examples, of all classes together"""
    split: Literal["train", "test"] = "train"
    """the split that they are taken from"""


class Drift(Section):
    """How far the kernel of the network moves along its training, until when, and in which directions."""

    kind: Literal["drift"]
    target: Literal["self"] = "self"
    """always the run's own network"""
    snapshots: Annotated[Several | Moments, Says("a number of snapshots, or a list of epochs such as [0, 1/4, 1]")] = 20
    """a number: so many whole epochs, evenly spaced up to the end, and 0; a list: these epochs, and 0 and the end"""
    probe: Probe = Probe()
    """the examples of the kernels, the same for all snapshots"""
    layout: Literal["full", "trace"] = "full"
    """full: every pair of outputs; trace: the mean over outputs, as small as the kernel of one output"""
    top: Counts = (10, 20)
    """numbers of leading eigenvectors to compare with all others; a number that leaves no others is skipped"""
    keep_kernels: Literal["none", "ends", "all"] = "none"
    """which kernels are kept beside the record, in float32"""
    accuracy_on: Splits = ("test",)
    """the splits on which accuracies are measured"""
    accuracy_at: Literal["all", "ends", "final"] = "all"
    """the snapshots at which accuracies are measured"""
    attack: str | None = None
    """a gradient attack on self, for robust accuracies; null: none"""
    adversarial_probe: str | None = None
    """a gradient attack on self with one budget, made anew on the probe at each snapshot; null: only the clean one"""
