"""Eigen-features and other spectral filters of one kernel, many at once.

With Theta(X, X) = V diag(lambda) V^T, each filter g gives a predictor

    f_g(x) = Theta(x, X) V diag(g) V^T Y;

g = 1/lambda_i at i and 0 elsewhere is feature i. All of them are linear in what they share, the row Theta(x, X) or the
Jacobian at x. So they make a *family*: one predictor whose coefficients have a leading axis. Mapping over that axis
alone, with x common to all, the row and its derivative are computed once for an image, and the input gradients of m
features are one product of matrices, (m n) (n d): no n x d array for each feature.
"""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from ntkbench.ntk import metrics
from ntkbench.ntk.attacks import Attack, Objective
from ntkbench.ntk.compilation import jit
from ntkbench.ntk.empirical import EmpiricalKernel
from ntkbench.ntk.gram import Kernel, gram
from ntkbench.ntk.layers import Weights
from ntkbench.ntk.linearize import Linearized
from ntkbench.ntk.losses import margin, predict
from ntkbench.ntk.network import Predictor, Trainable, with_weights
from ntkbench.ntk.regression import KernelPredictor, Spectrum, predictor

Filters = Float[Array, "m k"]
"""A row for each filter g, a column for each eigenvalue."""


class Family(eqx.Module):
    """Predictors that share all but their coefficients; each leaf of these has a leading axis."""

    coefficients: eqx.AbstractVar[PyTree[Array]]

    @abc.abstractmethod
    def member(self, coefficients: PyTree[Array]) -> Predictor:
        """The predictor with the coefficients of one."""


class KernelFamily(Family):
    """x -> Theta(x, X) alpha_i; `predictor` has the coefficients of none of them."""

    predictor: KernelPredictor
    coefficients: Float[Array, "m n o q"]

    def member(self, coefficients):
        return eqx.tree_at(lambda p: p.alpha, self.predictor, coefficients)


class LinearizedFamily(Family):
    """x -> J(x) w_i. With w_i = sum_j J(x_j)^T alpha_ij this is Theta(x, X) alpha_i of the anchor's own kernel."""

    anchor: Trainable
    coefficients: Weights

    def member(self, coefficients):
        return Linearized(self.anchor, coefficients, centered=True)


class Eigensystem(eqx.Module):
    """A kernel on its examples: spectrum, and targets in the eigenbasis.

    The spectrum has k = n o entries: o is the kernel's own number of outputs, 1 where it is a multiple of the
    identity; the q columns of the targets are then the outputs. It has fewer where the first features alone are known.
    """

    kernel: eqx.AbstractVar[Kernel]
    X: eqx.AbstractVar[Float[Array, "n ..."]]
    spectrum: eqx.AbstractVar[Spectrum]
    targets: eqx.AbstractVar[Float[Array, "k q"]]
    """V^T Y"""

    @abc.abstractmethod
    def family(self, filters: Filters) -> Family:
        """The predictors of some filters."""

    def coefficients(self, filters: Filters) -> Float[Array, "m n o q"]:
        """alpha = V diag(g) V^T Y of each, in the precision of the examples."""
        alpha = jnp.einsum("ak,mk,kq->maq", self.spectrum.eigenvectors, filters, self.targets)
        n = self.X.shape[0]
        return alpha.reshape(alpha.shape[0], n, alpha.shape[1] // n, alpha.shape[2]).astype(self.X.dtype)


class InfiniteEigensystem(Eigensystem):
    """Hold the eigensystem of a kernel that is a multiple of the identity of the outputs."""

    kernel: Kernel
    X: Float[Array, "n ..."]
    spectrum: Spectrum
    targets: Float[Array, "k c"]

    @classmethod
    def of(
        cls, kernel: Kernel, X: Float[Array, "n ..."], spectrum: Spectrum, Y: Float[Array, "n c"]
    ) -> "InfiniteEigensystem":
        return cls(kernel, X, spectrum, spectrum.eigenvectors.T @ Y)

    def family(self, filters):
        alpha = self.coefficients(filters)
        return KernelFamily(predictor=predictor(self.kernel, self.X, alpha[0, :, 0]), coefficients=alpha)


class EmpiricalEigensystem(Eigensystem):
    """Hold the eigensystem of a predictor's kernel at given weights. The predictor's value there is in no feature."""

    kernel: EmpiricalKernel  # pyright: ignore[reportIncompatibleVariableOverride]
    X: Float[Array, "n ..."]
    spectrum: Spectrum
    targets: Float[Array, "nc 1"]

    @classmethod
    def of(
        cls, kernel: EmpiricalKernel, X: Float[Array, "n ..."], spectrum: Spectrum, Y: Float[Array, "n c"]
    ) -> "EmpiricalEigensystem":
        return cls(kernel, X, spectrum, spectrum.eigenvectors.T @ Y.reshape(-1, 1))

    def family(self, filters):
        anchor = self.kernel.predictor
        _, pull = jax.vjp(lambda weights: jax.vmap(with_weights(anchor, weights))(self.X), anchor.weights)
        return LinearizedFamily(anchor, jax.lax.map(lambda alpha: pull(alpha[..., 0])[0], self.coefficients(filters)))


def spans(eigenvalues: Float[Array, " k"], ranges: Int[np.ndarray, "m 2"]) -> Filters:
    """g = 1/lambda on the features from the first index to before the second, 0 elsewhere: their sum."""
    place, start, stop = jnp.arange(eigenvalues.size)[None, :], ranges[:, :1], ranges[:, 1:]
    return jnp.where((place >= start) & (place < stop), 1 / eigenvalues[None, :], 0)


@jit
def family(system: Eigensystem, filters: Filters) -> Family:
    """The predictors of some filters."""
    return system.family(filters)


@jit
def truncations(
    system: Eigensystem, X: Float[Array, "t ..."], labels: Int[Array, " t"], *, tile_bytes: float = 5e8
) -> Bool[Array, "t k"]:
    """Return whether the sum of the first k features is right at each example, for every k.

    One product of matrices gives all features, and their running sum all of these predictors.
    """
    rows = gram(system.kernel, X, system.X, tile_bytes=tile_bytes)  # t o n o
    values, V = system.spectrum.eigenvalues, system.spectrum.eigenvectors
    shares = rows.reshape(-1, V.shape[0]).astype(V.dtype) @ (V / values[None, :])
    features = shares.reshape(X.shape[0], -1, V.shape[0])[..., None] * system.targets[None, None]  # t o k q
    outputs = jnp.cumsum(features, axis=2).transpose(0, 2, 1, 3).reshape(X.shape[0], V.shape[0], -1)
    return jax.vmap(jax.vmap(predict))(outputs) == labels[:, None]


class Outcome(NamedTuple):
    """Hold whether each member of a family is right at each example, clean and attacked through its own gradient."""

    clean: Bool[Array, "m t"]
    robust: Bool[Array, "m e t"]
    margin: Float[Array, "m t"]
    """the output of the true class less the largest other one; +-f of a single output"""
    robust_margin: Float[Array, "m e t"]
    zero_gradient: Bool[Array, "m t"]
    """of the objective, at the clean example"""
    not_finite: Bool[Array, "m t"]
    outside: Bool[Array, "m t"]
    """whether an attacked example left the threat set"""


@jit
def outcome(
    family: Family,
    attack: Attack,
    objective: Objective,
    X: Float[Array, "t ..."],
    labels: Int[Array, " t"],
    eps: Float[Array, " e"],
    *,
    key: PRNGKeyArray,
    batch_size: int,
) -> Outcome:
    """Each member attacked white-box, `batch_size` examples at a time and all members at once."""

    def example(args):
        x, label, example_key = args

        def member(coefficients):
            f = family.member(coefficients)
            gradient = objective.gradient(f, x, label)(x)
            images = jax.vmap(lambda one_eps: attack(f, x, label, one_eps, key=example_key))(eps)
            clean, robust = f(x), jax.vmap(f)(images)
            return Outcome(
                predict(clean) == label,
                jax.vmap(predict)(robust) == label,
                -margin(clean, label),
                jax.vmap(lambda outputs: -margin(outputs, label))(robust),
                ~jnp.any(gradient != 0),
                ~jnp.all(jnp.isfinite(gradient)),
                ~jnp.all(jax.vmap(lambda image, one_eps: _inside(attack, image, x, one_eps))(images, eps)),
            )

        return jax.vmap(member)(family.coefficients)

    found = jax.lax.map(example, (X, labels, jax.random.split(key, X.shape[0])), batch_size=batch_size)
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), found)


def _inside(attack, image, x, eps):
    return (attack.ball.norm(image - x) <= eps) & jnp.all((image >= 0) & (image <= 1))


@jit
def correct(family: Family, X: Float[Array, "t ..."], labels: Int[Array, " t"]) -> Bool[Array, "m t"]:
    """Return whether each member is right at each example."""

    def example(pair):
        x, label = pair
        return jax.vmap(lambda coefficients: predict(family.member(coefficients)(x)) == label)(family.coefficients)

    return jax.lax.map(example, (X, labels)).T


@jit
def values(family: Family, X: Float[Array, "t ..."]) -> Float[Array, "m t c"]:
    """The outputs of each member at each example."""

    def example(x):
        return jax.vmap(lambda coefficients: family.member(coefficients)(x))(family.coefficients)

    return jnp.moveaxis(jax.lax.map(example, X), 0, 1)


@jit
def gradients(family: Family, X: Float[Array, "t ..."], labels: Int[Array, " t"]) -> Float[Array, "m t ..."]:
    """Return the gradient of each member's output in its input; of several outputs, that of the true class."""
    found = jax.lax.map(lambda pair: _gradients(family, *pair), (X, labels))
    return jnp.moveaxis(found, 0, 1)


@jit
def alignment(one: Family, two: Family, X: Float[Array, "t ..."], labels: Int[Array, " t"]) -> Float[Array, "m t"]:
    """|cosine| of the input gradients of the i-th members of two families, at each example."""

    def example(pair):
        return jnp.abs(metrics.cosine(_gradients(one, *pair), _gradients(two, *pair)))

    return jax.lax.map(example, (X, labels)).T


def _gradients(family, x, label):
    def member(coefficients):
        f = family.member(coefficients)

        def own(image):
            outputs = f(image)
            return outputs[0] if outputs.size == 1 else outputs[label]

        return jax.grad(own)(x)

    return jax.vmap(member)(family.coefficients)
