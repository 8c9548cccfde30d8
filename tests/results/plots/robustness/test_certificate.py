from pathlib import Path

import numpy as np
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.colors import to_hex

from ntkbench.results.plots import style
from ntkbench.results.plots.robustness import certificate
from tests.examples import findings
from tests.examples.findings import depths, studies


def curve(axes, color: str) -> np.ndarray:
    (line,) = [line for line in axes.lines if to_hex(line.get_color()) == color.lower()]
    return np.asarray(line.get_xydata())


def test_what_is_certified_and_what_an_attack_leaves(tmp_path: Path):
    study = studies(tmp_path, depths(1, 2))["certain"]
    (picture,) = certificate.pictures(study, ["8/255"])
    for panel, axes in zip(study.panels, picture.figure.axes, strict=True):
        x = [0, *panel["eps"]]
        for color, counts in ((style.CLEAN, panel["certified"]), (style.ROBUST, panel["robust"])):
            np.testing.assert_allclose(curve(axes, color), np.stack([x, np.array([170, *counts]) / 200], axis=1))
        gap = [part for part in axes.collections if to_hex(np.asarray(part.get_facecolor())[0]) == style.GRAY.lower()]
        assert len(gap) == 1
        assert isinstance(gap[0], FillBetweenPolyCollection)
    assert "Certified accuracy against the ℓ∞ radius, and accuracy under fgsm" in picture.caption
    assert "n = 200 test points" in picture.caption


def test_without_an_attack_there_is_no_gap(tmp_path: Path):
    alone = findings.certificate(np.random.default_rng(0))
    del alone["robust"]
    study = studies(tmp_path, depths(1), certain=alone)["certain"]
    (picture,) = certificate.pictures(study, [])
    (axes,) = picture.figure.axes
    assert len(axes.lines) == 1
    assert [text.get_text() for text in picture.figure.legends[0].get_texts()] == ["certified"]
