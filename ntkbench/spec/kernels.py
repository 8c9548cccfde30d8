"""The kernels of a spec: those of infinitely wide networks, and empirical ones."""

from typing import Annotated, Literal

from pydantic import Field

from ntkbench.spec.architectures import Architecture
from ntkbench.spec.attacks import InnerFGSM, InnerPGD
from ntkbench.spec.notation import FRACTION, Count, Expects, KernelTime, Moment, NonNegative, Positive, Seed
from ntkbench.spec.section import Section, ToldApart


class RkhsAdversarial(Section):
    """Regression against the worst perturbation of the kernel's features (Ribeiro et al. 2025).

    It minimizes (1/n) sum (|y - f(x)| + delta |f|_H)^2, each output for itself. No spectral filter does this: unlike
    under a ridge, the weights differ between examples.
    """

    kind: Literal["rkhs_adversarial"]
    delta: Positive
    """radius of the perturbations in feature space, in the unit of Theta(x, x)^(1/2)"""


class AdvNtk(Section):
    """A training time for each training example, chosen on examples that are held out and attacked (Fu & Wang 2024).

    From times of 0 on, each step attacks some of them and moves the times against the gradient of their squared loss.
    No spectral filter does this: times differ between examples.
    """

    kind: Literal["adv_ntk"]
    attack: Annotated[InnerFGSM | InnerPGD, ToldApart("kind")]
    """the attack on the predictor as it is at each step"""
    n_validation: Count
    """number of training examples, the last ones, that are held out: they are attacked, and not fitted"""
    steps: Annotated[int, Field(gt=0, le=100_000)] = 50
    """number of steps, each with one eigendecomposition"""
    batch_size: Count = 128
    """number of the held-out examples that a step attacks, at most all"""
    rate: Positive = 0.1
    """length of a step in all times together"""
    seed: Seed = 0
    """draws the batches and the starts of attacks"""


Fit = Annotated[RkhsAdversarial | AdvNtk, ToldApart("kind")]
"""ways to fit a kernel other than by gradient flow"""


class InfiniteKernel(Section):
    """Regression with the kernel of the infinitely wide network."""

    kind: Literal["infinite"]
    type: Literal["ntk", "nngp"] = "ntk"
    """ntk: kernel of gradient flow on all weights; nngp: covariance of the outputs at init, if the last layer alone
    learns"""
    architecture: Architecture | None = None
    """the network whose limit is taken; null: the cell's own"""
    width: Count | None = None
    """reference width of the standard parameterization, whose kernel depends on it; null: the cell's width"""
    time: KernelTime = float("inf")
    """time of gradient flow on (1/2) sum (f - y)^2; matched: that of the run's own network when its training ends"""
    ridge: NonNegative = 0.0
    """added to every eigenvalue of the kernel"""
    fit: Annotated[Fit | None, Field(json_schema_extra={"as_before": None}, exclude_if=lambda fit: fit is None)] = None
    """another way to fit the training targets, in the place of time and ridge; null: gradient flow"""


class EmpiricalKernel(Section):
    """Regression with the kernel of the run's own finite network, f_0(x) included."""

    kind: Literal["empirical"]
    at: Annotated[
        Literal["init", "final"] | Moment, Expects("init, final, or an epoch such as 3 or 1/2", (FRACTION,))
    ] = "init"
    """the weights at which the kernel is taken: those drawn, those in the end, or those after so many epochs"""
    time: KernelTime = float("inf")
    """time of gradient flow on (1/2) sum (f - y)^2; matched: that of the run's own network when its training ends"""
    ridge: NonNegative = 0.0
    """added to every eigenvalue of the kernel"""


Kernel = Annotated[InfiniteKernel | EmpiricalKernel, ToldApart("kind")]
