"""Find the data that a plan needs and that are not on this machine, before anything runs.

for line in absent(plan, data_dir): print(line)
"""

from pathlib import Path

from ntkbench.data import places
from ntkbench.plan import user_files
from ntkbench.plan.runs import Plan


def absent(plan: Plan, data_dir: Path | None) -> list[str]:
    """Return a line for each data set and each file of weights of a plan that is not on this machine, with what to do.

    `data_dir` is searched before the usual folders; data sets that come with the package are never absent.
    """
    cells = [run.cell for run in plan.runs]
    others = (words.training for cell in cells for words in cell.networks.values())
    used = dict.fromkeys([*(each for cell in cells for each in (cell.data.dataset, cell.training)), *others])
    return [*places.absent(plan.datasets, data_dir), *filter(None, map(user_files.absent, used))]
