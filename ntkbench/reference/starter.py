"""Write a spec to start from: `ntkbench init` calls `write`."""

from pathlib import Path

from ntkbench.errors import UsageError

_TEXT = """\
# A spec of your own. `ntkbench validate` checks it, `ntkbench plan` tells what it costs, `ntkbench run` runs it.
ntkbench: 1
name: {name}
title: ""
about: ""

# Which examples. `ntkbench list datasets` shows what there is.
data:
  dataset: fashion_mnist_mini
  classes: [pullover, coat]
  n_train: 500
  n_test: 200

# Which network. depth counts hidden layers.
architecture: {{kind: fc, depth: 1}}
width: 256

# none, standard, or linearized (the first-order model in the weights).
training: {{mode: standard, loss: mse, optimizer: {{kind: sgd, learning_rate: auto}}, epochs: 200}}

# Predictors without a trained network. Attacks and analyses refer to them by name; `self` is the network.
kernels:
  limit: {{kind: infinite, time: inf}}

attacks:
  ntk:   {{kind: fgsm, source: limit, eps: [4/255, 8/255]}}
  own:   {{kind: fgsm, source: self, eps: [4/255, 8/255]}}
  noise: {{kind: random_sign, eps: [4/255, 8/255]}}

analyses:
  transfer: {{kind: transfer, attack: ntk, ceiling: own, floor: noise}}

# One cell for each combination; an axis is the path of a field, or a name whose labels set several fields.
matrix:
  width: [64, 256]
seeds: 3

# What `--smoke` changes: the same experiment, in seconds.
smoke: {{data: {{n_train: 64, n_test: 32}}, training: {{epochs: 10}}, matrix: {{width: [16]}}, seeds: 1}}
"""
"""the spec; `{name}` becomes that of the file"""


def write(path: Path) -> None:
    """Write the spec to `path`, which must not exist, and name it after the file.

    Characters of the file's name that a spec's name cannot have become hyphens. Raises UsageError where there is a file
    already, or none can be written.
    """
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in path.stem).lstrip("._-")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_TEXT.format(name=name or "experiment"))
    except FileExistsError:
        raise UsageError(f"{path} is there already; choose another name") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
