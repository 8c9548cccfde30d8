"""Take models of others for predictors: what they are made of, what identifies them, whether they can be measured.

JAX has to be configured before this module is imported (`run.settings.configured`).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from ntkbench.errors import UsageError
from ntkbench.ntk import given as ntk_given
from ntkbench.ntk.given import Given
from ntkbench.run.build.data import examples, outputs
from ntkbench.spec.cell import Cell


def given(model: Any, batched: bool) -> Given:
    """Return a predictor for a callable PyTree, or for a pair of a function and its weights; UsageError for others."""
    if callable(model):
        return Given.of(_called, model, batched)
    if isinstance(model, tuple) and len(model) == 2 and callable(model[0]):
        return Given.of(*model, batched)
    raise UsageError(
        f"a model is a function of one image that is a PyTree, or a pair (function, weights), and this is of the type "
        f"{type(model).__name__}"
    )


def _called(model: Callable[[Any], Any], x: Any) -> Any:
    return model(x)


def digest(predictor: Given) -> str:
    """Return the SHA-256 of a predictor's model, by which records know it."""
    return ntk_given.digest(predictor.model)


def precision(predictor: Given) -> str:
    """Return the precision in which the predictor computes: float64 if some of its weights have it, else float32."""
    double = any(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves(predictor.weights))
    return "float64" if double else "float32"


def require_sound(predictor: Given, cell: Cell, roots: Sequence[Path]) -> None:
    """Raise UsageError for a predictor whose numbers on the cell's test examples would mean nothing."""
    data = examples(cell.data, roots)
    ntk_given.require_sound(predictor, jnp.asarray(data.test.unit(cell.numerics.network)), outputs(data))
