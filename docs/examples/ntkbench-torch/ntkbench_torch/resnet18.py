"""ResNet-18 for small images in PyTorch (He et al. 2016): a first convolution of 3 x 3, no pooling, four groups.

    python -m ntkbench_torch.resnet18 --weights resnet18.pt --data-dir DIR      # CIFAR-10
    python -m ntkbench_torch.resnet18 --data fashion_mnist_mini                 # drawn weights, data of the package

The program measures the network under PGD, shows it the adversarial examples of an infinitely wide network and random
signs, and computes its kernel on 20 training images.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import ntkbench as nb
from ntkbench_torch.module import as_function

CIFAR10 = {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2470, 0.2435, 0.2616)}
"""mean and standard deviation of the training pixels in each channel"""


class Block(nn.Module):
    """Two convolutions with batch normalization, and the input added to what they give."""

    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut = nn.Sequential()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inside = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(inside)) + self.shortcut(x))


class ResNet18(nn.Module):
    """ResNet-18; `width` is that of the first group, 64 in the paper."""

    def __init__(self, classes: int = 10, channels: int = 3, width: int = 64):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        groups = zip(widths, widths[1:], (1, 2, 2, 2), strict=False)
        self.groups = nn.Sequential(*(nn.Sequential(Block(a, b, s), Block(b, b, 1)) for a, b, s in groups))
        self.linear = nn.Linear(8 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.groups(functional.relu(self.bn1(self.conv1(x))))
        return self.linear(x.mean((2, 3)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="file of the module's state_dict; without it they are drawn")
    parser.add_argument("--data", default="cifar10", help="data set")
    parser.add_argument("--classes", nargs="+", default=None, help="two classes or more; default: all")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--n-test", type=int, default=100)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--store", type=Path, default=Path("runs"))
    asked = parser.parse_args()
    data = {"dataset": asked.data, "classes": asked.classes, "n_train": 20, "n_test": asked.n_test}
    color = asked.data == "cifar10"
    torch.manual_seed(0)
    module = ResNet18(len(asked.classes) if asked.classes else 10, 3 if color else 1, asked.width)
    if asked.weights:
        module.load_state_dict(torch.load(asked.weights, weights_only=True))
    results = measure(module, data, color, asked.store, asked.data_dir)
    found = results.frame.query("metric in ('accuracy', 'majority_rate', 'robust_accuracy')")
    print(found[["metric", "attack", "eps_label", "value", "low", "high"]].to_string(index=False))
    kernel, _ = results.kernel("own")
    values = np.linalg.eigvalsh(kernel)
    print(f"its kernel on 20 images: {kernel.shape}, largest eigenvalue {values[-1]:.4g}, smallest {values[0]:.4g}")


def measure(module: nn.Module, data: dict, color: bool, store: Path, data_dir: Path | None = None) -> nb.Results:
    """Measure a module under PGD, attacks on an infinitely wide network, and random signs, and with its own kernel."""
    limit = {"kind": "infinite", "architecture": {"kind": "fc", "depth": 1}}
    return nb.evaluate(
        as_function(module, **(CIFAR10 if color else {})),
        data,
        attacks={
            "pgd": {"kind": "pgd", "eps": ["2/255", "8/255"], "steps": 10},
            "ntk": {"kind": "fgsm", "source": "limit", "eps": ["2/255", "8/255"]},
            "noise": {"kind": "random_sign", "eps": ["2/255", "8/255"]},
        },
        kernels={"limit": limit, "own": {"kind": "empirical", "at": "init"}},
        name="resnet18",
        store=store,
        data_dir=data_dir,
    )


if __name__ == "__main__":
    main()
