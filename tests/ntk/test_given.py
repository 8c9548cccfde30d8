"""Predictors of others: called as they are, told apart by their weights, refused where their numbers mean nothing."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.api.models import digest
from ntkbench.errors import UsageError
from ntkbench.ntk import cheapest
from ntkbench.ntk.given import Given, kept_values, require_sound
from ntkbench.ntk.network import cast
from tests.conftest import EXACT

X = jnp.asarray(np.random.default_rng(0).uniform(size=(5, 2, 3, 1)))


class Net(eqx.Module):
    """tanh(W x) v, with a constant of another type, which JAX promotes by default."""

    W: jax.Array
    v: jax.Array
    sharpness: float = 1.0
    act: Any = jnp.tanh

    def __call__(self, x):
        return self.act(self.sharpness * self.W @ x.ravel()) @ self.v * np.float32(2)


def net(outputs: int = 3, seed: int = 0) -> Net:
    draw = np.random.default_rng(seed).normal
    return Net(jnp.asarray(draw(size=(4, 6))), jnp.asarray(draw(size=(4, outputs))))


def given(model: Any, batched: bool = False) -> Given:
    return Given.of(lambda model, x: model(x), model, batched)


def test_outputs_are_the_model_s_and_their_kernel_is_that_of_its_jacobian():
    model, predictor = net(), given(net())
    with jax.numpy_dtype_promotion("standard"):
        direct = jnp.stack([model(x) for x in X])
        J = jax.vmap(
            lambda x: jax.jacrev(lambda w: eqx.tree_at(lambda m: (m.W, m.v), model, w)(x))((model.W, model.v))
        )(X)
    np.testing.assert_array_equal(jnp.stack([predictor(x) for x in X]), direct)
    flat = np.concatenate([np.asarray(part).reshape(5, 3, -1) for part in J], axis=-1)
    expected = np.einsum("iap,jbp->iajb", flat, flat)
    np.testing.assert_allclose(cheapest.ntk(predictor, X), expected, rtol=EXACT, atol=EXACT)


def test_a_batch_of_one_and_a_scalar_are_outputs_too():
    model = net(1)
    alone = Given.of(lambda m, x: m(x)[0], model)
    together = Given.of(lambda m, X: jax.vmap(m)(X), model, batched=True)
    np.testing.assert_array_equal(alone(X[0]), given(model)(X[0]))
    np.testing.assert_allclose(together(X[0]), given(model)(X[0]), rtol=EXACT)


def test_the_precision_is_that_of_the_example():
    assert given(net())(X[0].astype("float32")).dtype == jnp.float32
    assert cast(given(net()), "float32").weights.W.dtype == jnp.float32


def test_a_digest_tells_values_shapes_types_places_and_functions_apart():
    model = net()
    others = [
        net(seed=1),
        net(2),
        eqx.tree_at(lambda m: m.v, model, model.v.astype("float32")),
        eqx.tree_at(lambda m: m.sharpness, model, 2.0),
        eqx.tree_at(lambda m: m.act, model, jnp.sin),
        {"W": model.W, "v": model.v},
        [model.W, model.v],
        [model.v, model.W],
        (jax.random.key(0), jax.random.key(1)),
        (jax.random.key(0), jax.random.key(2)),
    ]
    assert digest(model) == digest(net())
    assert len({digest(each) for each in (model, *others)}) == 1 + len(others)
    assert digest({"a": np.arange(3), "b": jnp.ones(2)}) == digest({"b": np.ones(2), "a": jnp.arange(3)})


def test_what_is_kept_of_an_example_grows_with_the_layers_and_not_with_the_weights():
    wide = Net(jnp.ones((400, 6)), jnp.ones((400, 3)))
    few, many = (kept_values(given(each), (2, 3, 1), "float64") for each in (net(), wide))
    assert 4 < few < 200
    assert 400 < many < 400 * 6


class Counting:
    """A function that is another one at each call."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, model, x):
        self.calls += 1
        return model(x) + self.calls


def drawing(model, x):
    return model(x) + np.random.default_rng().normal()


def broken(part: str) -> Net:
    return eqx.tree_at(lambda m: getattr(m, part), net(), jnp.full(getattr(net(), part).shape, jnp.nan))


def nan(model, x):
    return jnp.log(-jnp.abs(model(x)))


alone: Any = lambda m: m  # noqa: E731 (a function that takes too little)

REFUSED = {
    "weights at .v are not finite": given(broken("v")),
    "outputs are not finite on test images": Given.of(nan, net()),
    "changes from call to call": Given.of(Counting(), net()),
    "changes from call": Given.of(drawing, net()),
    "do not depend on the image": Given.of(lambda m, x: m.v[0], net()),
    r"have the shape \(2,\), and this task asks for \(3,\), one for each class": given(net(2)),
    "no arrays of floating-point numbers": Given.of(lambda m, x: x.ravel()[:3], (jnp.tanh, 3)),
    r"cannot be called with one image of shape \(2, 3, 1\) and type float64: TypeError": Given.of(alone, net()),
    "cannot be compiled or differentiated by JAX": Given.of(lambda m, x: jnp.asarray(np.tanh(np.asarray(m(x)))), net()),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_would_mean_nothing_is_refused(message: str):
    with pytest.raises(UsageError, match=message):
        require_sound(REFUSED[message], X, 3)


def test_the_two_logits_of_two_classes_are_refused_with_what_to_write():
    with pytest.raises(UsageError, match=r"of two logits take the difference: \(lambda net, x: net\(x\)\[1:\]"):
        require_sound(given(net(2)), X, 1)
    require_sound(Given.of(lambda m, x: m(x)[1:] - m(x)[:1], net(2)), X, 1)


def test_a_sound_predictor_passes_on_a_single_example_too():
    require_sound(given(net()), X, 3)
    require_sound(given(net()), X[:1], 3)
