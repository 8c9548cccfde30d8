"""The predictor whose certificates are measured."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Array, Float, Int

from ntkbench.ntk.infinite import InfiniteKernel
from ntkbench.ntk.regression import Spectrum


@dataclass(frozen=True)
class FittedKernel:
    """An infinite kernel on its training examples, and the spectral filter of its regression."""

    name: str
    """id of the kernel"""
    kernel: InfiniteKernel
    X: Float[Array, "n ..."]
    spectrum: Spectrum
    filtered: Float[Array, " n"]
    """the spectral filter at each eigenvalue"""
    alpha: Float[Array, "n c"]
    """coefficients of the regression: f(x) = Theta(x, X) alpha"""
    labels: Int[np.ndarray, " n"]
    """training labels, from 0 on"""
    classes: int
