"""Standardize pixels: networks are often trained on channels without their mean, in units of their deviation."""

import dataclasses
from typing import NoReturn

import jax.numpy as jnp

from ntkbench.errors import UsageError
from ntkbench.ntk.layers import Layer


@dataclasses.dataclass(frozen=True)
class Standardize(Layer):
    """(x - mean) / std in each channel, without weights; a single number is that of all channels.

    Attacks differentiate through it, so that their budgets are in pixel units.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def init(self, shape, *, key, dtype):
        return (), shape

    def apply(self, weights, x):
        mean, std = (jnp.broadcast_to(jnp.asarray(each, x.dtype), x.shape) for each in (self.mean, self.std))
        return (x - mean) / std

    def observe(self, cov) -> NoReturn:
        raise UsageError("limits are those of networks of pixels; leave the standardization of inputs out")

    def propagate(self, cov, note1, note2) -> NoReturn:
        self.observe(cov)
