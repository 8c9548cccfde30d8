"""Draw images before and after they were attacked or poisoned: for notebooks, and for files of `ntkbench images`."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from ntkbench.results.plots import style

_WIDE = 9
"""characters of a class name that fit above an image; longer ones are written smaller"""


def figure(
    clean: np.ndarray, moved: np.ndarray, before: Sequence[str], after: Sequence[str], how: str = "adversarial"
) -> Figure:
    """Return a figure with a column for each image: clean, moved, and the perturbation, scaled to its largest entry.

    Args:
        clean: images (n, rows, columns, channels) of pixels in [0, 1].
        moved: the attacked or poisoned images, of the same shape.
        before: what is predicted of each clean image; or their classes.
        after: what is predicted of each moved image, in another color where it differs; empty where nobody knows.
        how: what was done to the images, in a word.
    """
    perturbation = moved - clean
    largest = max(float(np.abs(perturbation).max(initial=0)), np.finfo(float).tiny)
    rows = (
        ("clean", clean, before),
        (how, moved, after),
        (f"perturbation\n±{255 * largest:.3g}/255", 0.5 + perturbation / largest / 2, ()),
    )
    longest = max(map(len, (*before, *after)), default=0)
    with style.applied():
        made = Figure(figsize=(style.WIDTH * max(len(clean), 3) / 6, 2.2), layout="constrained")
        axes = made.subplots(len(rows), len(clean), squeeze=False)
        for line, (name, images, said) in zip(axes, rows, strict=True):
            line[0].set_ylabel(name)
            for i, (place, image) in enumerate(zip(line, images, strict=True)):
                place.imshow(image if image.shape[-1] == 3 else image.mean(axis=-1), cmap="gray", vmin=0, vmax=1)
                place.set(xticks=[], yticks=[])
                if said:
                    color = style.BLACK if said[i] == before[i] else style.ROBUST
                    size = style.POINTS * min(1.0, _WIDE / max(longest, 1))
                    place.set_title(style.plain(said[i]), color=color, fontsize=size)
    return made


def of_file(found: Mapping[str, np.ndarray], first: int = 8) -> Figure:
    """Return the figure of the first images of a file of `ntkbench images`; those that the attack turned come first.

    Predictions are told by the file's outcomes: a wrong one of two classes is the other, of more it is not the true
    one. Without outcomes, clean images have the names of their classes.

    Args:
        found: the arrays of the file.
        first: the number of images, at most.
    """
    known = "correct_clean" in found
    turned = found["correct_clean"] & ~found["correct_adv"] if known else np.zeros(len(found["y"]), bool)
    order = np.argsort(~turned, kind="stable")[:first]
    names, labels = [str(name) for name in found["class_names"]], found["y"][order]
    every = np.ones(len(order), bool)
    return figure(
        found["x_clean"][order],
        found["x_adv"][order],
        _predicted(labels, found["correct_clean"][order] if known else every, names),
        _predicted(labels, found["correct_adv"][order], names) if known else (),
    )


def of_data_set(found: Mapping[str, np.ndarray], first: int = 8) -> Figure:
    """Return the figure of the first training images of a data set that `ntkbench images --poisoned` writes."""
    names = [str(found["class_names"][label]) for label in found["y_train"][:first]]
    return figure(found["x_clean"][:first], found["x_train"][:first], names, (), "poisoned")


def _predicted(labels: np.ndarray, right: np.ndarray, names: list[str]) -> list[str]:
    """Return what is known of the predictions, from the true classes and from whether these were predicted."""
    wrong = [names[1 - label] if len(names) == 2 else f"not {names[label]}" for label in labels]
    return [names[label] if hit else other for label, hit, other in zip(labels, right, wrong, strict=True)]
