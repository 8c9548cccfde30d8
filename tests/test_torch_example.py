"""The example that measures a module of PyTorch: the same numbers as PyTorch's own, then attacks and a kernel."""

import importlib
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'docs/examples/ntkbench-torch[torch]'")
pytest.importorskip("torchax", reason="needs torchax: pip install 'docs/examples/ntkbench-torch[torch]'")
sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "examples" / "ntkbench-torch"))
as_function = importlib.import_module("ntkbench_torch.module").as_function
resnet18 = importlib.import_module("ntkbench_torch.resnet18")

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


@pytest.fixture(autouse=True)
def promoted():
    """torchax adds arrays of different ranks, which these tests forbid everywhere else, in all threads."""
    before = jax.config.jax_numpy_rank_promotion  # type: ignore[attr-defined]
    jax.config.update("jax_numpy_rank_promotion", "allow")
    yield
    jax.config.update("jax_numpy_rank_promotion", before)


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    net = resnet18.ResNet18(3, 3, 4).train()
    net(torch.rand(64, 3, 12, 12))  # so that the statistics of batch normalization are no longer 0 and 1
    return net


def images(n: int = 4) -> np.ndarray:
    return np.random.default_rng(1).random((n, 12, 12, 3), np.float32)


def test_outputs_and_image_gradients_are_those_of_pytorch(module):
    function, weights = as_function(module, mean=MEAN, std=STD)
    X, net = images(), module.eval()
    x = torch.from_numpy(X).requires_grad_()
    inside = (x - torch.tensor(MEAN)) / torch.tensor(STD)
    expected = net(inside.permute(0, 3, 1, 2))
    expected[:, 1].sum().backward()
    found = jax.vmap(function, (None, 0))(weights, jnp.asarray(X))
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-4, atol=1e-5)
    gradient = jax.vmap(jax.grad(lambda image: function(weights, image)[1]))(jnp.asarray(X))
    np.testing.assert_allclose(gradient, x.grad.numpy(), rtol=1e-3, atol=1e-4 * float(x.grad.abs().max()))
    module.train()


def test_the_module_itself_stays_as_it_was(module):
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    function, weights = as_function(module)
    function(weights, jnp.asarray(images(1)[0]))
    assert module.training
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_two_outputs_become_their_difference():
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(432, 2))
    function, weights = as_function(net)
    X = images(1)
    first, second = net(torch.from_numpy(X.transpose(0, 3, 1, 2).copy()))[0].tolist()
    (found,) = function(weights, jnp.asarray(X[0])).tolist()
    assert found == pytest.approx(second - first, rel=1e-4)


@pytest.mark.slow
def test_it_is_measured_and_its_kernel_is_that_of_pytorchs_parameters(tmp_path: Path):
    """Statistics of batch normalization are no parameters: the kernel has no derivatives by them."""
    torch.manual_seed(0)
    net = resnet18.ResNet18(2, 1, 4)
    data = {"dataset": "fashion_mnist_mini", "classes": ["pullover", "coat"], "n_train": 20, "n_test": 40}
    results = resnet18.measure(net, data, False, tmp_path / "runs")
    assert set(results.frame["status"]) == {"ok"}
    assert {"pgd", "ntk", "noise"} <= set(results.frame["attack"])
    X = results._predictors(results._run(None, None)).split("train").unit()
    kernel, _ = results.kernel("own")
    net.eval()
    rows = []
    for x in torch.from_numpy(np.asarray(X, np.float32).transpose(0, 3, 1, 2).copy()):
        first, second = net(x[None])[0]
        slopes = torch.autograd.grad(second - first, list(net.parameters()))
        rows.append(torch.cat([slope.ravel() for slope in slopes]))
    J = torch.stack(rows).double().numpy()
    np.testing.assert_allclose(kernel, J @ J.T, rtol=1e-3, atol=1e-4 * np.max(kernel))
