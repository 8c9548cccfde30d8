"""Measure a network that somebody else trained, with the pipeline and the records of a spec.

results = evaluate(net, {"dataset": "fashion_mnist_mini", "n_train": 500, "n_test": 200}, attacks, name="mine")
"""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from ntkbench.api import models
from ntkbench.api.execution import Progress, executed
from ntkbench.api.results import Results
from ntkbench.data.places import search_roots
from ntkbench.data.user import weights
from ntkbench.plan import read, shapes
from ntkbench.plan.runs import Plan
from ntkbench.run.settings import configured
from ntkbench.spec.attacks import SELF
from ntkbench.spec.reading import values
from ntkbench.store.store import Store


def evaluate(
    model: Any,
    data: Mapping[str, Any],
    attacks: Mapping[str, Any] | None = None,
    analyses: Mapping[str, Any] | None = None,
    kernels: Mapping[str, Any] | None = None,
    *,
    name: str,
    version: str = "1",
    store: str | PathLike[str] = "runs",
    batched: bool = False,
    progress: Progress = True,
    data_dir: str | PathLike[str] | None = None,
) -> Results:
    """Measure a network of one's own, and return the results: it takes the place of the network `self` of a spec.

    A record keeps the network's name, version, and the SHA-256 of its weights and of the program that computes with
    them, not the weights. The same call again repeats nothing; other weights, or changed code, are another run.

    Args:
        model: a PyTree that can be called with one image and holds its weights, such as an Equinox module; or a pair
            (function, weights), where the function takes the weights and one image. An image has the shape (rows,
            columns, channels) and pixels in [0, 1]. The outputs are one a class; two classes have one output, which is
            positive for the second.
        data: the section `data` of a spec. The training examples serve kernels alone.
        attacks: the section `attacks`; an attack without a `source` follows the model's gradient.
        analyses: the section `analyses`; by default the accuracy, clean and under all attacks.
        kernels: the section `kernels`. An infinite kernel needs an `architecture` of its own.
        name: what tables and records call the network.
        version: which one of that name it is.
        store: the folder of records and cached stages.
        batched: whether the model takes a batch of images, and returns a row of outputs for each.
        progress: as in `run`.
        data_dir: the folder of data sets, searched before the usual ones.

    Raises:
        SpecError: a section has mistakes, or asks for what a given network cannot do: its training, its limit.
        UsageError: the model's outputs have another shape, are not finite, change from call to call or do not depend on
            the image; its weights are not finite; JAX cannot compile or differentiate it.
        DataError: the data set is missing.
    """
    roots, kept = search_roots(None if data_dir is None else Path(data_dir)), Store(Path(store))
    with configured():
        predictor = models.given(model, batched)
        sections = {"data": data, "attacks": attacks or {}, "kernels": kernels or {}}

        def planned(sha256: str) -> Plan:
            spec = {
                "ntkbench": 1,
                "name": name,
                "architecture": {"kind": "given", "name": name, "version": version, "sha256": sha256},
                "training": {"mode": "none"},
                "numerics": {"network": models.precision(predictor)},
                "analyses": _accuracy(attacks or {}) if analyses is None else analyses,
                **{section: words for section, words in sections.items() if words},
            }
            return read.planned(values.document(spec, "evaluate"), "evaluate", given=[sha256])

        cell = planned(models.digest(predictor.model)).runs[0].cell  # which tells the shape of an image
        models.require_sound(predictor, cell, roots)
        sha256 = models.fingerprint(predictor, shapes.image(cell.data), cell.numerics.network)
        plan, given = planned(sha256), {sha256: predictor}
        return executed(plan, kept, roots, progress=progress, given=given)


def save_weights(model: Any, path: str | PathLike[str]) -> None:
    """Write the floating-point arrays of a model as a safetensors file, which `training: {mode: pretrained}` takes.

    The names of the arrays are their places in the model, such as `layers.0.weight`. The architecture of the spec is
    the same model as an extension (docs/extending.md).

    Args:
        model: a PyTree, such as an Equinox module.
        path: the file, which ends in .safetensors.

    Raises:
        UsageError: two arrays have the same name.
        StorageError: the file cannot be written.
    """
    with configured():
        weights.write(Path(path), models.named_weights(model))


def _accuracy(attacks: Mapping[str, Any]) -> dict[str, Any]:
    """Return the analyses of a network if none is asked for: its accuracy, clean and under all attacks."""
    return {"accuracy": {"kind": "accuracy", "target": SELF, "attacks": list(attacks)}}
