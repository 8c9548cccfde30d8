"""Estimate how long the rest of a plan takes: the predicted work, corrected by the speed so far.

The progress bar of `ntkbench run`, `status` and `watch` call it.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import groupby

from ntkbench.plan import timeline
from ntkbench.plan.cost import estimate as cost_estimate
from ntkbench.plan.cost.work import Work, total
from ntkbench.plan.keys import shared_stages, training_key, trainings
from ntkbench.plan.runs import Plan
from ntkbench.spec.attacks import SELF


def seconds(left: float, current: float, done: float, took: float, since: float) -> float:
    """Return the seconds until all work is done.

    Work is measured in seconds of an ordinary machine, time in seconds of this one. The speed is `done` / `took`, or 1
    as long as nothing has ended. Work in progress counts as done in proportion to the time it has had; once it takes
    longer than expected, all the rest is expected to take longer, too.

    Args:
        left: the work that has not ended, `current` included
        current: the part of it that is in progress
        done: the work that has ended
        took: the time that `done` took
        since: the time that has passed since `current` began
    """
    speed = done / took if done and took else 1.0
    if since * speed < current:
        return left / speed - since
    slower = (done + current) / (took + since) if took + since else speed
    return max(0.0, left - current) / slower


def expected(plan: Plan, cached: Collection[str] = ()) -> Mapping[str, float]:
    """Return the seconds that each run takes on an ordinary machine, by its id.

    A run has its share of its cell's training. Work that it has in common with others, kernels, further networks and
    compiled programs, counts where it comes first. `cached`: keys of stages that the store has, which take no time.
    """
    estimate, found = cost_estimate.estimate(plan), {}
    compiled, made = set(), set(cached)

    def new(work: Work) -> float:
        """Return the seconds of some work without the programs that earlier work has compiled."""
        fresh = replace(work, programs=work.programs - compiled)
        compiled.update(work.programs)
        return fresh.seconds()

    for cell, same in groupby(plan.runs, key=lambda run: run.cell):
        runs = tuple(same)
        keys = [training_key(part) for part in timeline.trainings(cell)]
        training = total(estimate.stages[key] for key in keys if key not in cached)
        each = new(training) / len(runs)
        for run in runs:
            found[run.id] = each + new(estimate.runs[run.id])
        others = {training_key(part) for name, part in trainings(cell) if name != SELF}.difference(keys)
        for key in {*others, *(key for _, key, _ in shared_stages(cell))} - made:
            made.add(key)
            found[runs[0].id] += new(estimate.stages.get(key, Work()))
    return found
