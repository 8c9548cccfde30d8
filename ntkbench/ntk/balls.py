"""Threat sets: ||delta|| <= eps, and x + delta in [0, 1].

Both hold exactly, in the arithmetic in which `adv - x` is looked at: where the sum x + delta was rounded
outwards, it is stepped back.
"""

import abc
import dataclasses

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

Image = Float[Array, "..."]
Eps = Float[Array, ""]


class Ball(abc.ABC):
    """Define the ball of a norm: its norm, its projection and its steepest direction."""

    @abc.abstractmethod
    def norm(self, delta: Image) -> Float[Array, ""]: ...

    @abc.abstractmethod
    def project(self, adv: Image, x: Image, eps: Eps) -> Image:
        """The image nearest to `adv` (l2: one near to it) in the threat set around x."""

    @abc.abstractmethod
    def steepest(self, gradient: Image) -> Image:
        """The unit step that increases a linear function most; 0 for a zero gradient."""

    @abc.abstractmethod
    def uniform(self, x: Image, eps: Eps, *, key: PRNGKeyArray) -> Image:
        """A displacement drawn uniformly from the ball."""

    @abc.abstractmethod
    def signs(self, x: Image, *, key: PRNGKeyArray) -> Image:
        """Random signs of norm 1."""


@dataclasses.dataclass(frozen=True)
class Linf(Ball):
    """Every pixel moves by at most eps."""

    def norm(self, delta):
        return jnp.max(jnp.abs(delta))

    def project(self, adv, x, eps):
        inside = optax.projections.projection_box(x + jnp.clip(adv - x, -eps, eps), 0.0, 1.0)
        return jnp.where(jnp.abs(inside - x) > eps, jnp.nextafter(inside, x), inside)

    def steepest(self, gradient):
        return jnp.sign(gradient)

    def uniform(self, x, eps, *, key):
        return jax.random.uniform(key, x.shape, x.dtype, -eps, eps)

    def signs(self, x, *, key):
        return jax.random.rademacher(key, x.shape, x.dtype)


@dataclasses.dataclass(frozen=True)
class L2(Ball):
    """The image moves by at most eps in Euclidean distance."""

    def norm(self, delta):
        largest = jnp.max(jnp.abs(delta))  # whose square may underflow
        return largest * jnp.sqrt(jnp.sum(jnp.square(delta / jnp.where(largest == 0, 1, largest))))

    def project(self, adv, x, eps):
        # Rounding x + delta moves each pixel by at most half an ulp of 1, and the norm by sqrt(d) times that.
        slack = x.size**0.5 * jnp.finfo(x.dtype).eps
        inner = jnp.maximum(eps * (1 - slack) - slack, 0)
        delta = adv - x
        length = self.norm(delta)
        delta = jnp.where(length > inner, delta * (inner / jnp.where(length == 0, 1, length)), delta)
        return optax.projections.projection_box(x + delta, 0.0, 1.0)

    def steepest(self, gradient):
        norm = self.norm(gradient)
        return gradient / jnp.where(norm == 0, 1, norm)

    def uniform(self, x, eps, *, key):
        direction_key, radius_key = jax.random.split(key)
        direction = self.steepest(jax.random.normal(direction_key, x.shape, x.dtype))
        return eps * jax.random.uniform(radius_key, (), x.dtype) ** (1 / x.size) * direction

    def signs(self, x, *, key):
        return jax.random.rademacher(key, x.shape, x.dtype) / x.size**0.5
