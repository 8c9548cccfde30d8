"""Log a run with Weights & Biases, on the server that its settings name or, with WANDB_MODE=offline, in a folder.

The project is that of the variable WANDB_PROJECT, otherwise `ntkbench`; the runs of a spec are a group of it.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import wandb  # pyright: ignore[reportMissingImports]

from ntkbench.run.tracking.run_log import RunLog


def opened(folder: Path) -> Callable[[RunLog], None]:
    """Return the function that logs a run; its files lie in `folder`, which has to be called `wandb`.

    Where a server is to be used, this is logged in to now, which asks for a key on a terminal and fails elsewhere.
    """
    if wandb.setup().settings.mode == "online":
        wandb.login()
    return partial(_write, folder.parent)


def _write(parent: Path, log: RunLog) -> None:
    """Log a run under its own id. wandb makes its folder `wandb` in `parent`, and another place of its own choice where
    it cannot."""
    (parent / "wandb").mkdir(parents=True, exist_ok=True)
    with wandb.init(
        project=os.environ.get("WANDB_PROJECT") or "ntkbench",
        group=log.spec,
        name=log.title,
        id=log.id,
        config=dict(log.params),
        dir=parent,
        settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
    ) as run:
        for name, values in log.curves.items():
            run.define_metric(name, step_metric="epoch")
            for i, value in enumerate(values, 1):
                run.log({"epoch": i, name: value})
        run.log(dict(log.scalars))
        run.summary.update({title: "\n".join(lines) for title, lines in log.texts.items()})
