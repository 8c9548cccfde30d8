"""Log a run with MLflow, on the server that MLFLOW_TRACKING_URI names or, without this variable, in a folder.

A spec is an experiment of MLflow. Recent versions of MLflow use a folder only if MLFLOW_ALLOW_FILE_STORE is set, which
is done here unless the user has set it.
"""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]
from mlflow.entities import Metric, Param  # pyright: ignore[reportMissingImports]

from ntkbench.run.tracking.run_log import RunLog

_AT_ONCE = 1000
"""most metrics that MLflow takes in one call"""


def opened(folder: Path) -> Callable[[RunLog], None]:
    """Return the function that logs a run; without a server, MLflow keeps its files in `folder/mlruns`."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    return partial(_write, MlflowClient(uri or (folder.absolute() / "mlruns").as_uri()))


def _write(client: Any, log: RunLog) -> None:
    """Log a run; one that MLflow did not take as a whole is deleted there."""
    experiment = client.get_experiment_by_name(log.spec)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(log.spec)
    began, ended = (int(1000 * at.timestamp()) for at in (log.began, log.ended))
    run_id = client.create_run(experiment_id, began, run_name=log.title).info.run_id
    numbers = [(name, value, 0) for name, value in log.scalars.items()]
    numbers += [(name, value, i) for name, values in log.curves.items() for i, value in enumerate(values, 1)]
    metrics = [Metric(_plain(name), value, ended, step) for name, value, step in numbers]
    try:
        client.log_batch(run_id, params=[Param(_plain(name), str(value)) for name, value in log.params.items()])
        for start in range(0, len(metrics), _AT_ONCE):
            client.log_batch(run_id, metrics=metrics[start : start + _AT_ONCE])
        for title, lines in log.texts.items():
            client.log_text(run_id, "".join(f"{line}\n" for line in lines), f"{title}.txt")
        client.set_terminated(run_id, end_time=ended)
    except BaseException:
        with suppress(Exception):
            client.delete_run(run_id)
        raise


def _plain(name: str) -> str:
    """Return a name in the characters that MLflow takes: `eps=8/255` becomes `eps:8_255`; the first slash stays."""
    parts = name.replace("=", ":").split("/", 1)
    return "/".join(re.sub(r"[^\w. :-]", "_", part) for part in parts)
