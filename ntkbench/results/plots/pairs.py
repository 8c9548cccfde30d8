"""Draw images before and after an attack, and their difference, for notebooks."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ntkbench.results.plots import style


def figure(
    clean: np.ndarray, adversarial: np.ndarray, before: Sequence[str], after: Sequence[str], how: str = "attacked"
) -> Figure:
    """Return a figure with a column for each image: clean, attacked, and their difference, scaled to its largest entry.

    Args:
        clean: images (n, rows, columns, channels) of pixels in [0, 1].
        adversarial: the attacked images, of the same shape.
        before: what is predicted of each clean image; or their classes.
        after: what is predicted of each attacked image; empty where nothing is.
        how: what was done to the images, in a word.
    """
    difference = adversarial - clean
    largest = max(float(np.abs(difference).max(initial=0)), np.finfo(float).tiny)
    rows = (
        ("clean", clean, before),
        (how, adversarial, after),
        ("difference", 0.5 + difference / largest / 2, ()),
    )
    with style.applied():
        made = Figure(figsize=(style.WIDTH * max(len(clean), 3) / 6, 2.2), layout="constrained")
        axes = made.subplots(len(rows), len(clean), squeeze=False)
        for line, (name, images, said) in zip(axes, rows, strict=True):
            line[0].set_ylabel(name)
            for i, (place, image) in enumerate(zip(line, images, strict=True)):
                place.imshow(image if image.shape[-1] == 3 else image.mean(axis=-1), cmap="gray", vmin=0, vmax=1)
                place.set(xticks=[], yticks=[])
                if said:
                    place.set_title(style.plain(said[i]))
    return made
