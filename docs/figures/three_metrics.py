"""Draw the picture of the README, transfer, eigen-features and drift, from the committed records.

python docs/figures/three_metrics.py
"""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import ntkbench as nb

STORE = Path(__file__).parents[1] / "results"
BLUE, RED, GRAY = "#0072b2", "#d55e00", "#777777"


def transfer(axes: Any) -> None:
    """Draw the normalized transfer of the kernel's attack against width; one line a budget, bars of one deviation."""
    frame = nb.results("transfer/fashion2", store=STORE).frame
    rates = frame.query("metric == 'normalized_transfer' and analysis == 'transfer'")
    for (_, label), part in rates.groupby(["eps", "eps_label"]):
        found = part.groupby("width")["value"].agg(["mean", "std"])
        axes.errorbar(found.index, found["mean"], found["std"], marker="o", capsize=2, label=f"eps {label}")
    axes.axhline(1, color=GRAY, linestyle=":")
    axes.axhline(0, color=GRAY, linestyle=":")
    axes.text(64, 1.02, "attack on the network itself", color=GRAY)
    axes.text(64, 0.02, "random signs", color=GRAY)
    axes.set(xscale="log", xticks=[64, 256, 1024], xticklabels=["64", "256", "1024"], ylim=(-0.05, 1.15))
    axes.set(
        xlabel="width", ylabel="normalized transfer", title="Transfer: the kernel's attack\nfools trained networks"
    )
    axes.minorticks_off()
    axes.legend(loc=(0.62, 0.12))


def eigenspace(axes: Any) -> None:
    """Draw the accuracy of the first k eigen-features, clean and under attack."""
    frame = nb.results("eigenspace/fashion2", store=STORE, where={"architecture.depth": 1}).frame
    tops = frame[frame["part"].str.startswith("top ")].assign(k=lambda rows: rows["part"].str[4:].astype(int))
    tops = tops.sort_values("k")
    clean, robust = (
        tops.query("metric == 'accuracy'"),
        tops.query("metric == 'robust_accuracy' and eps_label == '8/255'"),
    )
    axes.plot(clean["k"], clean["value"], color=BLUE, marker="o", label="clean")
    axes.plot(robust["k"], robust["value"], color=RED, marker="o", label="attacked, 8/255")
    axes.axhline(0.5, color=GRAY, linestyle=":")
    axes.text(1, 0.44, "a constant", color=GRAY)
    axes.set(xscale="log", xlabel="first k of 1000 eigen-features", ylabel="accuracy", ylim=(0, 1))
    axes.set(title="Eigen-features: robustness\nsits at the top of the spectrum")
    axes.legend(loc="lower left")


def drift(axes: Any) -> None:
    """Draw the distance of the kernel from initialization along training; a line a seed, and their means."""
    results = nb.results("drift/fashion4", store=STORE)
    for regime, color, label in (("standard", BLUE, "clean images"), ("fgsm", RED, "attacked images, 4/255")):
        lines = []
        for run in results.runs.loc[results.runs["regime"] == regime, "run_id"]:
            with np.load(STORE / "records" / f"{run}.npz") as arrays:
                epochs = arrays["series/drift.epoch"]
                lines.append(arrays["series/drift.distance"][0])
        axes.plot(epochs, np.transpose(lines), color=color, alpha=0.25)
        axes.plot(epochs, np.mean(lines, axis=0), color=color, label=f"trained on {label}")
    axes.set(xlabel="epoch", ylabel="distance from the first kernel", ylim=(0, None))
    axes.set(title="Drift: adversarial training\nturns the kernel further")
    axes.legend(loc="lower right")


if __name__ == "__main__":
    plt.rcParams.update({"font.size": 8, "legend.frameon": False, "axes.spines.top": False, "axes.spines.right": False})
    figure, panels = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
    for draw, axes in zip((transfer, eigenspace, drift), panels, strict=True):
        draw(axes)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=144)
