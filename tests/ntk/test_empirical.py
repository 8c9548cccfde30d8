"""The kernel of given weights: against the explicit Jacobian, and as a first-order model."""

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import architectures, empirical, gram, jacobian, linearize, network, regression
from ntkbench.ntk.layers import Parameterization
from tests.conftest import EXACT
from tests.ntk.predictors import drawn, uniform

X = uniform(6, 3, 2, 1)


def net(outputs, parameterization: Parameterization = "ntk", b_std=0.1):
    recipe = architectures.fc(9, outputs, depth=2, b_std=b_std, parameterization=parameterization)
    return drawn(recipe, X.shape[1:])


def derivatives(predictor):
    """All outputs of all examples, by all weights: independent of how the package contracts."""
    flat, unflatten = jax.flatten_util.ravel_pytree(predictor.weights)
    return jax.jit(jax.jacfwd(lambda w: jax.vmap(network.with_weights(predictor, unflatten(w)))(X).ravel()))(flat)


@pytest.mark.parametrize(
    ("outputs", "parameterization", "b_std"),
    [
        pytest.param(1, "ntk", 0.1, marks=pytest.mark.slow),
        (3, "standard", 0.1),
        pytest.param(3, "ntk", None, marks=pytest.mark.slow),
    ],
)
def test_is_the_gram_matrix_of_the_jacobian(outputs, parameterization, b_std):
    predictor = net(outputs, parameterization, b_std)
    J = derivatives(predictor)
    K = gram.matrix(np.asarray(gram.gram(jacobian.JacobianKernel(predictor), X)))
    np.testing.assert_allclose(K, J @ J.T, rtol=EXACT)


def test_of_a_linearized_network_does_not_move():
    linear = linearize.linearize(net(2))
    moved = network.with_weights(linear, jax.tree.map(lambda w: w + 1.0, linear.weights))
    one, two = (gram.gram(jacobian.JacobianKernel(p), X) for p in (linear, moved))
    np.testing.assert_allclose(one, two, rtol=EXACT)
    np.testing.assert_allclose(one, gram.gram(jacobian.JacobianKernel(net(2)), X), rtol=EXACT)


@pytest.mark.parametrize("outputs", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_largest_eigenvalue(outputs):
    predictor = net(outputs)
    K = gram.matrix(np.asarray(gram.gram(jacobian.JacobianKernel(predictor), X)))
    top = eqx.filter_jit(
        lambda one: empirical.largest_eigenvalue(one, X, key=jax.random.key(3), rtol=1e-9, max_steps=10_000)
    )
    np.testing.assert_allclose(top(predictor), np.linalg.eigvalsh(K)[-1], rtol=1e-6)


def test_regression_is_the_kernel_formula():
    """f_0(x) + Theta(x, X) Theta^-1 (Y - f_0(X)), although no kernel is formed at x."""
    outputs = 3
    predictor = net(outputs)
    k = jacobian.JacobianKernel(predictor)
    Y = jnp.asarray(np.random.default_rng(4).standard_normal((len(X), outputs)))
    new = uniform(4, 3, 2, 1, seed=5)
    outputs_of = eqx.filter_jit(lambda one, x: jax.vmap(one)(x))
    residual = (Y - outputs_of(predictor, X)).reshape(-1, 1)
    spectrum = regression.Spectrum.of(gram.matrix(np.asarray(gram.gram(k, X))))
    alpha = spectrum.coefficients(regression.flow(ridge=0.01), residual)
    fitted = outputs_of(empirical.regression(predictor, X, alpha.reshape(Y.shape)), new)
    across = gram.matrix(np.asarray(gram.gram(k, new, X)))
    expected = outputs_of(predictor, new) + (across @ alpha).reshape(4, outputs)
    np.testing.assert_allclose(fitted, expected, rtol=1e-8)
