"""How kernels move: against closed forms, what must not matter, and networks that are known to stay."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkbench.errors import NumericsError
from ntkbench.ntk import architectures, drift, gram, jacobian, linearize, losses, network
from ntkbench.ntk.regression import Spectrum
from tests.conftest import EXACT
from tests.ntk.predictors import drawn, uniform

EPOCHS = np.array([0.0, 0.5, 1.0, 3.0, 4.0])


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def positive(r: int, seed: int = 0) -> np.ndarray:
    J = rng(seed).standard_normal((r, r + 3))
    return J @ J.T


def rotation(r: int, seed: int = 0) -> np.ndarray:
    return np.linalg.qr(rng(seed).standard_normal((r, r)))[0]


def with_spectrum(values, seed: int = 0) -> np.ndarray:
    Q = rotation(len(values), seed)
    return (Q * values) @ Q.T


def compared(*kernels: np.ndarray) -> np.ndarray:
    halves = np.stack([drift.half(K) for K in kernels])
    return drift.products(halves, halves)


def on_a_circle(angle: float) -> np.ndarray:
    """Of rank one."""
    v = np.array([np.cos(angle), np.sin(angle)])
    return np.outer(v, v)


def distance(K: np.ndarray, other: np.ndarray) -> float:
    return drift.distances(compared(K, other))[0, 1]


# ---- distances -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 3.7, 1e-6])
def test_kernels_that_are_multiples_have_no_distance(scale: float):
    K = positive(9).astype(np.float32)
    scaled = np.float32(scale) * K
    np.testing.assert_allclose(distance(K, scaled), 0, atol=1e-13)
    assert distance(K, K.copy()) == 0


def test_identical_kernels_have_distance_and_angle_zero_to_the_last_bit():
    K = positive(40).astype(np.float32)
    products = compared(*[K] * 7)
    assert not drift.distances(products).any()
    assert not drift.polar(np.diagonal(products), products[:, 0])[1].any()


def test_orthogonal_kernels_are_at_distance_one():
    one, two = np.diag([1.0, 2, 0, 0]), np.diag([0.0, 0, 3, 1])
    assert distance(one, two) == 1


@given(st.integers(0, 1000), st.floats(0.01, 1.5))
def test_rank_one_kernels_are_at_the_squared_sine_of_their_angle(seed: int, angle: float):
    Q = rotation(5, seed)
    u, v = Q[0], np.cos(angle) * Q[0] + np.sin(angle) * Q[1]
    np.testing.assert_allclose(distance(np.outer(u, u), np.outer(v, v)), np.sin(angle) ** 2, rtol=1e-5, atol=1e-7)


@given(st.integers(0, 1000), st.floats(0.1, 10), st.floats(0.1, 10))
def test_distances_are_blind_to_scale_and_rotation(seed: int, a: float, b: float):
    K, other, Q = positive(6, seed), positive(6, seed + 1), rotation(6, seed)
    expected = 1 - np.sum(K * other) / (np.linalg.norm(K) * np.linalg.norm(other))
    np.testing.assert_allclose(distance(a * K, b * other), expected, atol=1e-6)
    np.testing.assert_allclose(distance(Q @ K @ Q.T, Q @ other @ Q.T), expected, atol=1e-6)


def test_products_of_halves_are_those_of_matrices(monkeypatch: pytest.MonkeyPatch):
    kernels = [positive(7, seed).astype(np.float32) for seed in range(4)]
    expected = [[np.vdot(K.astype(float), L.astype(float)) for L in kernels] for K in kernels]
    whole = compared(*kernels)
    np.testing.assert_allclose(whole, expected, rtol=1e-7)
    monkeypatch.setattr(drift, "_COLUMNS", 40)
    np.testing.assert_allclose(compared(*kernels), whole, rtol=1e-14)


def test_sums_are_exact_where_float32_would_round():
    """Two million ones beside a square of 1e12."""
    K = np.ones((1500, 1500), np.float32)
    K[0, 0] = 1e6
    halves = drift.half(K)[None]
    assert halves.dtype == np.float32
    np.testing.assert_allclose(drift.products(halves, halves)[0, 0] - 1e12, 1500**2 - 1, rtol=1e-6)


def test_a_zero_kernel_is_told():
    with pytest.raises(NumericsError, match="the kernel of snapshot 1 is zero"):
        drift.distances(compared(positive(4), np.zeros((4, 4))))


def test_what_is_not_finite_stays_so():
    K = positive(4)
    found = drift.distances(compared(K, K * np.nan, K))
    assert np.isnan(found[1]).all()
    assert found[0, 2] == 0
    assert drift.lazy_onset(drift.distances(compared(K, K * np.nan)), EPOCHS[:2]) is None


# ---- ways ----------------------------------------------------------------------------------------


@pytest.fixture
def turning() -> np.ndarray:
    """Distances of rank-one kernels that turn in a plane and grow."""
    angles, scales = np.array([0.0, 0.6, 0.9, 1.0, 1.0]), np.array([1.0, 2, 3, 4, 5])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return compared(*[scale * np.outer(v, v) for scale, v in zip(scales, vectors, strict=True)])


def test_path_length_and_velocity_by_hand(turning: np.ndarray):
    D, steps = drift.distances(turning), np.sin([0.6, 0.3, 0.1, 0.0]) ** 2
    np.testing.assert_allclose(drift.path_length(D), steps.sum(), rtol=1e-6)
    np.testing.assert_allclose(drift.velocities(D, EPOCHS), steps / [0.5, 0.5, 2, 1], rtol=1e-5)


def test_lazy_onset_by_hand(turning: np.ndarray):
    """Velocities: sin^2(0.6) / 0.5 = 0.638, sin^2(0.3) / 0.5 = 0.175, sin^2(0.1) / 2 = 0.005, 0."""
    D = drift.distances(turning)
    assert drift.lazy_onset(D, EPOCHS) == 1.0
    assert drift.lazy_onset(D[:3, :3], EPOCHS[:3]) is None, "0.175 is no tenth of 0.638"
    np.testing.assert_array_equal(drift.by_horizon(drift.lazy_onset, D, EPOCHS), [np.nan, np.nan, 1, 1])


def test_a_kernel_that_wakes_up_was_not_lazy(turning: np.ndarray):
    """Its snapshots in the order 0, 2, 3, 4, 1: slow in between, and fast in the end."""
    order = [0, 2, 3, 4, 1, 1]
    D = drift.distances(turning[order][:, order])
    assert drift.lazy_onset(D, np.arange(6.0)) == 4.0
    assert drift.lazy_onset(D[:5, :5], np.arange(5.0)) is None


def test_nearness_onset_by_hand(turning: np.ndarray):
    """Left: sin^2 of 1, 0.4 and 0.1; a tenth of the first is 0.0708."""
    D = drift.distances(turning)
    assert drift.nearness_onset(D, EPOCHS) == 1.0
    assert drift.nearness_onset(D[[0, 1, 4]][:, [0, 1, 4]], EPOCHS[[0, 1, 4]]) == 4.0


def test_the_onset_does_not_grow_with_the_horizon():
    """Directions that turn by a fast part that ends and a slow one that does not, looked at every three epochs."""
    epochs = np.arange(0, 241, 3.0)
    angle = 0.5 * (1 - np.exp(-epochs / 8)) + 0.004 * epochs
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    D = 1 - (vectors @ vectors.T) ** 2
    onset, nearness = (drift.by_horizon(each, D, epochs) for each in (drift.lazy_onset, drift.nearness_onset))
    short, long = (int(np.searchsorted(epochs, end)) - 1 for end in (60, 240))
    expected = next(t for t in epochs if np.all(np.diff(angle)[epochs[:-1] >= t] < 0.33 * np.diff(angle)[0]))
    assert abs(onset[long] - expected) <= 3, "distances are nearly squares of angles, and 0.1 is nearly 0.32^2"
    assert onset[short] == onset[long]
    assert nearness[long] > nearness[short] + 100
    assert nearness[long] == drift.nearness_onset(D, epochs)


def test_polar_by_hand(turning: np.ndarray):
    radius, angle = drift.polar(np.diagonal(turning), turning[:, 0])
    np.testing.assert_allclose(np.cos(angle), np.cos([0, 0.6, 0.9, 1, 1]) ** 2, atol=1e-7)
    assert (radius[0], radius[-1], angle[0]) == (0, 1, 0)
    moved = np.linalg.norm(2 * on_a_circle(0.6) - np.diag([1.0, 0]))
    whole = np.linalg.norm(5 * on_a_circle(1) - np.diag([1.0, 0]))
    np.testing.assert_allclose(radius[1], moved / whole, rtol=1e-6)


def test_a_kernel_that_stays_has_no_onset_and_no_radius():
    K = positive(6).astype(np.float32)
    noise = [K * (1 + 1e-7 * rng(seed).standard_normal()) for seed in range(3)]
    products = compared(K, *noise)
    assert drift.lazy_onset(drift.distances(products), EPOCHS[:4]) is None
    radius, angle = drift.polar(np.diagonal(products), products[:, 0])
    assert np.isnan(radius).all()
    assert np.all(angle < 1e-6)


def test_a_kernel_that_only_grows_has_a_radius_and_no_onset():
    products = compared(*[scale * positive(5) for scale in (1, 2, 5)])
    radius, _ = drift.polar(np.diagonal(products), products[:, 0])
    np.testing.assert_allclose(radius, [0, 0.25, 1], rtol=1e-6)
    assert drift.lazy_onset(drift.distances(products), EPOCHS[:3]) is None


@pytest.mark.parametrize("k", [1, 3, 6])
def test_products_of_truncations_are_those_of_truncated_matrices(k: int):
    one, two = (with_spectrum([9.0, 5, 4, 2, 1, 0.5, 0.1], seed) for seed in (1, 2))

    def parts(K):
        values, V = np.linalg.eigh(K)
        values, V = values[::-1], V[:, ::-1]
        return [(V[:, chosen] * values[chosen]) @ V[:, chosen].T for chosen in (slice(k), slice(k, None))]

    found = drift.truncated_products(Spectrum.of(one), Spectrum.of(two), [k])
    expected = [np.sum(a * b) for a, b in zip(parts(one), parts(two), strict=True)]
    np.testing.assert_allclose(found[:, 0], expected, rtol=EXACT)


def test_what_is_truncated_to_nothing_has_no_angle():
    one = Spectrum.of(positive(4))
    squares = np.stack([drift.truncated_products(one, one, [4])] * 2, axis=-1)
    radius, angle = drift.polar(squares[1], squares[1])
    assert np.isnan(radius).all()
    assert np.isnan(angle).all()


# ---- spectra -------------------------------------------------------------------------------------


def test_ranks_and_masses_of_a_known_spectrum():
    flat, spiked = np.ones(8), np.array([3.0, 1, 0, 0, 0, 0, 0, -1e-17])
    values = np.stack([flat, spiked])
    np.testing.assert_allclose(drift.participation_rank(values), [8, 16 / 10])
    np.testing.assert_allclose(drift.stable_rank(values), [8, 4 / 3])
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    np.testing.assert_allclose(drift.entropy_rank(values), [8, np.exp(entropy)])
    np.testing.assert_allclose(drift.top_mass(values, 1), [1 / 8, 9 / 10])
    np.testing.assert_allclose(drift.top_mass(values, 8), 1)


@given(st.integers(0, 1000), st.floats(1e-3, 1e3))
def test_the_look_of_a_spectrum_is_blind_to_scale_and_rotation(seed: int, scale: float):
    K, Q = positive(6, seed), rotation(6, seed)
    one, two = (np.asarray(Spectrum.of(matrix).eigenvalues)[None] for matrix in (K, scale * Q @ K @ Q.T))
    looks = (partial(drift.top_mass, k=2), drift.participation_rank, drift.entropy_rank, drift.stable_rank)
    for look in looks:
        np.testing.assert_allclose(look(one), look(two), rtol=1e-8)


# ---- labels --------------------------------------------------------------------------------------

LABELS = np.arange(12) % 3
ONE_HOT = np.eye(3)[LABELS]


def test_the_kernel_of_the_labels_aligns_with_them():
    y = np.where(LABELS == 0, 1.0, -1.0)[:, None]
    np.testing.assert_allclose(drift.label_alignment((5 * y @ y.T)[:, None, :, None], y), 1, rtol=EXACT)
    full = np.einsum("ia,jb->iajb", ONE_HOT - 1 / 3, ONE_HOT - 1 / 3)
    np.testing.assert_allclose(drift.label_alignment(full, ONE_HOT), 1, rtol=EXACT)
    trace = (ONE_HOT @ ONE_HOT.T)[:, None, :, None]
    np.testing.assert_allclose(drift.label_alignment(trace, ONE_HOT), 1, rtol=EXACT)


def test_alignment_is_blind_to_constants_in_features_and_targets():
    K = positive(36).reshape(12, 3, 12, 3)
    found = drift.label_alignment(K, ONE_HOT)
    same = K + rng(1).standard_normal((1, 3, 12, 3))
    np.testing.assert_allclose(drift.label_alignment(same, ONE_HOT + np.array([[1.0, 2, 3]])), found, rtol=1e-8)


def test_alignment_by_hand():
    """y^T C K C y / (|C K C| |y|^2) with the centering matrix C of each output."""
    K = positive(36)
    C = np.kron(np.eye(12) - 1 / 12, np.eye(3))
    y = C @ ONE_HOT.ravel()
    expected = y @ K @ y / (np.linalg.norm(C @ K @ C) * y @ y)
    np.testing.assert_allclose(drift.label_alignment(K.reshape(12, 3, 12, 3), ONE_HOT), expected, rtol=EXACT)


def test_specialization_of_outputs_that_are_alike_is_one_and_of_own_classes_their_number():
    block, Y = positive(12), ONE_HOT - 1 / 3
    alike = np.einsum("ij,ab->iajb", block, np.eye(3))
    np.testing.assert_allclose(drift.class_specialization(alike, ONE_HOT), 1, rtol=EXACT)
    own = np.zeros((12, 3, 12, 3))
    for k in range(3):
        own[:, k, :, k] = np.outer(Y[:, k], Y[:, k])
    A = np.array([[(Y[:, a] @ Y[:, b]) ** 2 for b in range(3)] for a in range(3)])
    expected = np.mean(np.diagonal(A) / A.mean(axis=0))
    np.testing.assert_allclose(drift.class_specialization(own, ONE_HOT), expected, rtol=EXACT)
    assert expected > 1.9


# ---- networks ------------------------------------------------------------------------------------


def test_the_distance_of_weights_counts_what_a_displacement_leads_to():
    net = drawn(architectures.fc(5, 1, depth=1), (1, 1, 4))
    moved = jax.tree.map(lambda leaf: 1.5 * leaf, net.weights)
    linear = linearize.linearize(net)
    half = network.with_weights(linear, jax.tree.map(lambda leaf: 0.5 * leaf, net.weights))
    for there in (network.with_weights(net, moved), half):
        np.testing.assert_allclose(drift.weight_distance(there, net), 0.5, rtol=EXACT)
    assert drift.weight_distance(linear, net) == 0


X, LABELS_OF_X = uniform(16, 1, 1, 5, seed=1), jnp.asarray(np.arange(16) % 2)


@eqx.filter_jit
def trained(predictor, steps: int = 60, rate: float = 0.5):
    """Full-batch gradient descent, by hand."""

    def loss(weights):
        outputs = jax.vmap(network.with_weights(predictor, weights))(X)
        return jnp.mean(jax.vmap(losses.squared)(outputs, LABELS_OF_X))

    def step(_, weights):
        return jax.tree.map(lambda w, g: w - rate * g, weights, jax.grad(loss)(weights))

    return network.with_weights(predictor, jax.lax.fori_loop(0, steps, step, predictor.weights))


def kernel(predictor) -> np.ndarray:
    return gram.matrix(np.asarray(gram.gram(jacobian.JacobianKernel(predictor), X)))


def moved(predictor) -> float:
    return distance(kernel(predictor), kernel(trained(predictor)))


def test_a_linearized_network_does_not_move():
    assert moved(linearize.linearize(drawn(architectures.fc(16, 1, depth=1), X.shape[1:]))) < 1e-6


@pytest.mark.slow
def test_a_wide_network_moves_less_than_a_narrow_one():
    """As 1 / width, in the mean over draws; every third would do."""
    narrow, wide = (
        np.mean([moved(drawn(architectures.fc(width, 1, depth=1), X.shape[1:], seed=seed)) for seed in range(4)])
        for width in (16, 256)
    )
    assert narrow > 1e-4, "nothing moved"
    assert wide < narrow / 4
