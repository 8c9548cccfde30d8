"""Threat sets, in the arithmetic in which they are looked at."""

import functools

import equinox as eqx
import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkbench.ntk import balls

LINF, L2 = balls.Linf(), balls.L2()
BALLS = {"linf": LINF, "l2": L2}
SHAPE = (2, 3, 2)
project = eqx.filter_jit(lambda ball, adv, x, eps: ball.project(adv, x, eps))
norm = eqx.filter_jit(lambda ball, delta: ball.norm(delta))
both = functools.partial(pytest.mark.parametrize, "name", sorted(BALLS))


@st.composite
def threats(draw):
    """An image, any array in its place, and a budget: of one precision, often at the ends of their ranges."""
    width = draw(st.sampled_from([32, 64]))
    unit = st.floats(0, 1, width=width, allow_subnormal=False)
    gray = st.integers(0, 255).map(lambda k: float(np.divide(k, 255, dtype=f"f{width // 8}")))
    wild = st.floats(-1e6, 1e6, width=width, allow_subnormal=False)
    pixels, dtype = st.one_of(gray, unit, st.sampled_from([0.0, 1.0])), np.dtype(f"f{width // 8}")
    x = draw(hnp.arrays(dtype, SHAPE, elements=pixels))
    adv = x + draw(
        hnp.arrays(dtype, SHAPE, elements=st.one_of(st.floats(-1, 1, width=width, allow_subnormal=False), wild))
    )
    eps = draw(st.one_of(unit, st.sampled_from([0.0, 1.0, 8 / 255, 0.5])))
    return jnp.asarray(adv), jnp.asarray(x), jnp.asarray(eps, dtype)


@both()
@settings(max_examples=100)
@given(threat=threats())
def test_ball_and_box_hold_exactly(name, threat):
    ball, (adv, x, eps) = BALLS[name], threat
    inside = np.asarray(project(ball, adv, x, eps))
    assert inside.dtype == x.dtype
    assert inside.min() >= 0
    assert inside.max() <= 1
    delta = inside - np.asarray(x)
    assert norm(ball, jnp.asarray(delta)) <= eps
    exactly = np.max(np.abs(delta)) if ball is LINF else np.sqrt(np.sum(np.square(delta, dtype=np.float64)))
    assert exactly <= float(eps)


@both()
@settings(max_examples=100)
@given(threat=threats())
def test_projection_is_idempotent(name, threat):
    """To the rounding that keeps the ball exact: an ulp of 1, in Euclidean norm one a pixel."""
    ball, (adv, x, eps) = BALLS[name], threat
    once = project(ball, adv, x, eps)
    ulp = float(np.finfo(x.dtype).eps)
    np.testing.assert_allclose(
        project(ball, once, x, eps), once, rtol=0, atol=ulp if ball is LINF else 12**0.5 * 2 * ulp
    )


@both()
@settings(max_examples=50)
@given(threat=threats())
def test_without_budget_nothing_moves(name, threat):
    adv, x, eps = threat
    np.testing.assert_array_equal(project(BALLS[name], adv, x, 0 * eps), x)


@settings(max_examples=100)
@given(threat=threats())
def test_linf_projection_is_the_nearest_point(threat):
    adv, x, eps = (np.asarray(a, np.float64) for a in threat)
    nearest = np.clip(adv, np.maximum(x - eps, 0), np.minimum(x + eps, 1))
    found = project(LINF, *threat)
    np.testing.assert_allclose(found, nearest, rtol=0, atol=2 * float(np.finfo(found.dtype).eps))


def test_l2_projection_is_the_nearest_point_away_from_the_box():
    x, direction = np.full(SHAPE, 0.5), np.random.default_rng(0).standard_normal(SHAPE)
    direction /= np.linalg.norm(direction)
    for length, expected in ((0.3, 0.2), (0.1, 0.1)):
        found = project(L2, jnp.asarray(x + length * direction), jnp.asarray(x), jnp.asarray(0.2))
        np.testing.assert_allclose(found, x + expected * direction, rtol=1e-14)


@both()
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_images_stay_inside_and_use_the_budget(name, dtype):
    """Sums of many equal squares, where rounding adds up."""
    rng, ball = np.random.default_rng(0), BALLS[name]
    for d in (3072, 3 * 224**2):
        for delta in (np.ones(d), rng.choice([-1, 1], d), rng.standard_normal(d)):
            for eps in (8 / 255, 0.5):
                x, eps = jnp.full(d, 0.5, dtype), jnp.asarray(eps, dtype)
                moved = project(ball, x + jnp.asarray(delta, dtype), x, eps) - x
                assert norm(ball, moved) <= eps
                assert (
                    norm(ball, moved) >= eps * (1 - 4 * d**0.5 * np.finfo(dtype).eps) - 2 * d**0.5 * np.finfo(dtype).eps
                )


@both()
def test_steepest_maximizes_a_linear_function(name):
    """Hoelder: the maximum is the dual norm of the gradient."""
    ball = BALLS[name]
    g = np.random.default_rng(0).standard_normal(SHAPE)
    step = np.asarray(ball.steepest(jnp.asarray(g)))
    np.testing.assert_allclose(ball.norm(jnp.asarray(step)), 1, rtol=1e-14)
    np.testing.assert_allclose((g * step).sum(), np.abs(g).sum() if ball is LINF else np.linalg.norm(g), rtol=1e-14)


@both()
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_steepest_at_any_scale(name, scale):
    """The gradient of a saturated loss is tiny, but it has a direction."""
    g = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    found = BALLS[name].steepest(jnp.asarray(np.float32(scale) * g))
    np.testing.assert_allclose(found, BALLS[name].steepest(jnp.asarray(g)), rtol=1e-5)


@both()
def test_steepest_of_nothing_and_of_nan(name):
    assert not np.any(BALLS[name].steepest(jnp.zeros(SHAPE)))
    assert np.any(np.isnan(BALLS[name].steepest(jnp.full(SHAPE, jnp.nan)))), "NaN must not pass for a zero gradient"


@both()
def test_uniform_fills_the_ball(name):
    """Inside, centered, and with the radius distributed as the volume: P(|delta| < r) = (r / eps)^d."""
    ball, n, eps, d = BALLS[name], 4000, 0.3, 12
    keys = jax.random.split(jax.random.key(0), n)
    draw = jax.jit(jax.vmap(lambda key: ball.uniform(jnp.zeros(SHAPE), jnp.asarray(eps), key=key)))
    delta = np.asarray(draw(keys)).reshape(n, d)
    volume = (np.array(jax.vmap(ball.norm)(jnp.asarray(delta))) / eps) ** d
    assert volume.max() <= 1 + 1e-12
    assert abs(volume.mean() - 1 / 2) < 4 / (12 * n) ** 0.5
    assert abs(volume.var() - 1 / 12) < 4 / (180 * n) ** 0.5
    assert np.all(np.abs(delta.mean(0)) < 4 * delta.std(0) / n**0.5)
    correlation = np.corrcoef(delta.T) - np.eye(d)
    assert np.abs(correlation).max() < 5 / n**0.5


@both()
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_signs_have_norm_one(name, dtype):
    ball, x = BALLS[name], jnp.zeros(SHAPE, dtype)
    signs = ball.signs(x, key=jax.random.key(0))
    assert signs.dtype == dtype
    np.testing.assert_allclose(ball.norm(signs), 1, rtol=1e-6)
    assert len(np.unique(np.abs(signs))) == 1
    assert np.any(signs != ball.signs(x, key=jax.random.key(1)))
