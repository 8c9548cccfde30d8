"""The arrays that each kind of analysis leaves, to check those of records before they are drawn.

Records may come from anybody. A form gives the dtype of a series and which of its axes have the same length as axes of
other series of the analysis, so that drawing code can rely on both.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from ntkbench.errors import NtkbenchError

INTEGER, REAL, FLAG = "iu", "iuf", "b"
"""kinds of NumPy dtypes that count as whole numbers, as real numbers (these included), and as flags"""
Form = tuple[str, str]
"""kinds of dtypes, then a letter for each axis: axes with the same letter have the same length

`.` stands for any length, `*` at the end for any number of further axes. Letters: e budgets, n eigenvalues, f features,
k truncations, m snapshots, and so on; each table uses its own.
"""

_EIGENSPACE: Mapping[str, Form] = MappingProxyType(
    {
        "eps": (REAL, "e"),
        "n_test": (INTEGER, ""),
        "majority": (INTEGER, ""),
        "eigenvalue": (REAL, "n"),
        "small_gap": (FLAG, "."),
        "feature": (INTEGER, "f"),
        "feature_clean": (REAL, "f"),
        "feature_robust": (REAL, "ef"),
        "feature_useful": (FLAG, "f"),
        "feature_tested_robust": (FLAG, "ef"),
        "truncation": (INTEGER, "k"),
        "truncation_clean": (REAL, "k"),
        "truncation_robust": (REAL, "ek"),
        "tail_clean": (REAL, "k"),
        "tail_robust": (REAL, "ek"),
        "cumulative_clean": (REAL, "n"),
        "picture_feature": (INTEGER, "p"),
        "picture_test": (INTEGER, "t"),
        "picture_image": (REAL, "t*"),
        "picture_gradient": (REAL, "pt*"),
        "picture_group": (INTEGER, "g."),
        "picture_group_gradient": (REAL, "gt*"),
    }
)
_TIME: Mapping[str, Form] = MappingProxyType(
    {
        "eps": (REAL, "e"),
        "n_test": (INTEGER, ""),
        "eigenvalue": (REAL, "n"),
        "time": (REAL, "t"),
        "time_clean": (REAL, "t"),
        "time_robust": (REAL, "et"),
        "ridge": (REAL, "r"),
        "ridge_clean": (REAL, "r"),
        "ridge_robust": (REAL, "er"),
    }
)
_CONSISTENCY: Mapping[str, Form] = MappingProxyType(
    {
        "eps": (REAL, "e"),
        "n_test": (INTEGER, ""),
        "top": (INTEGER, "k"),
        "overlap": (REAL, "ak"),
        "angle": (REAL, "ak"),
        "feature": (INTEGER, "f"),
        "gradient_cosine": (REAL, "af"),
    }
)
_CERTIFICATE: Mapping[str, Form] = MappingProxyType(
    {
        "eps": (REAL, "e"),
        "n_test": (INTEGER, ""),
        "clean": (INTEGER, ""),
        "certified": (INTEGER, "e"),
        "robust": (INTEGER, "e"),
    }
)
_LABEL_FLIPS: Mapping[str, Form] = MappingProxyType(
    {"flips": (INTEGER, "r"), "n_test": (INTEGER, ""), "certified": (INTEGER, "r")}
)
_OF_A_KERNEL: Mapping[str, Form] = MappingProxyType(
    {
        "distance": (REAL, "mm"),
        "velocity": (REAL, "v"),
        **dict.fromkeys(("radius", "angle", "label_alignment", "class_specialization"), (REAL, "m")),
        **dict.fromkeys(("top_mass", "top_radius", "top_angle", "rest_radius", "rest_angle"), (REAL, "km")),
    }
)
"""series of `drift` that exist for each probe, (snapshots,) or (truncations, snapshots)"""
_DRIFT: Mapping[str, Form] = MappingProxyType(
    {
        "epoch": (REAL, "m"),
        "top": (INTEGER, "k"),
        **_OF_A_KERNEL,
        **{f"adversarial_{name}": form for name, form in _OF_A_KERNEL.items()},
        "weight_distance": (REAL, "m"),
        "eps": (REAL, "e"),
        "accuracy_epoch": (REAL, "a"),
        **{f"n_{split}": (INTEGER, "") for split in ("train", "test")},
        **{f"{split}_clean": (REAL, "a") for split in ("train", "test")},
        **{f"{split}_robust": (REAL, "ea") for split in ("train", "test")},
    }
)
FORMS: Mapping[str, Mapping[str, Form]] = MappingProxyType(
    {
        "eigenspace": _EIGENSPACE,
        "time": _TIME,
        "consistency": _CONSISTENCY,
        "certificate": _CERTIFICATE,
        "label_flips": _LABEL_FLIPS,
        "drift": _DRIFT,
    }
)
"""forms of the series by kind of analysis; series that are not listed are not checked"""
_MAY_BE_EMPTY = ("k",)
"""axes that may have length 0, such as the truncations of a drift that asks for none"""


def check(kind: str, series: Mapping[str, np.ndarray], who: str) -> None:
    """Raise NtkbenchError where an array of an analysis does not have the form of its series.

    Args:
        kind: kind of the analysis.
        series: its arrays by name; one that is missing is no mistake here.
        who: run and analysis, with which the message begins.
    """
    lengths: dict[str, tuple[str, int]] = {}
    for name, (types, axes) in FORMS.get(kind, {}).items():
        if name in series and (why := _why_not(series[name], types, axes, lengths, name)):
            raise NtkbenchError(f"{who}: its series {name} is {why}; it was not written by this version of ntkbench")


def _why_not(array: np.ndarray, types: str, axes: str, lengths: dict[str, tuple[str, int]], name: str) -> str:
    """Return what is wrong with an array, or an empty text.

    `lengths` holds for each letter the first series with that axis and its length; this array's axes are added.
    """
    if array.dtype.kind not in types:
        return f"of type {array.dtype}"
    fixed = axes.rstrip("*")
    if array.ndim != len(axes) and not (axes.endswith("*") and array.ndim > len(fixed)):
        return f"of shape {array.shape}"
    for axis, length in zip(fixed, array.shape, strict=False):
        first, expected = lengths.setdefault(axis, (name, length))
        if axis != "." and length != expected:
            return f"of shape {array.shape}, which does not go with {first}"
        if length == 0 and axis not in _MAY_BE_EMPTY:
            return "empty"
    return ""
