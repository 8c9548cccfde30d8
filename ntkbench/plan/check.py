"""Check what no section can check by itself: references between sections, budgets, networks that are needed.

`plan.read` applies `problems` to each cell of a spec. A rule yields its problems at the line that is to be changed; it
keeps silent where a section that it needs is broken already, as that has been told.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from ntkbench.errors import Problem, SpecError
from ntkbench.plan.rules import analyses, architectures, certificates
from ntkbench.plan.rules import attacks as rules_attacks
from ntkbench.plan.rules import data as rules_data
from ntkbench.plan.rules import kernels as rules_kernels
from ntkbench.plan.rules import networks as rules_networks
from ntkbench.plan.rules.analyses import transfers
from ntkbench.plan.rules.attacks import budgets
from ntkbench.plan.rules.references import (
    analysis_attacks,
    analysis_targets,
    attack_sources,
    poison_kernel,
    reserved_ids,
)
from ntkbench.plan.rules.training import batches, networks, pretrained, problems, schedules
from ntkbench.plan.user_files import unidentified
from ntkbench.spec.cell import Cell
from ntkbench.spec.identity import resolved
from ntkbench.spec.reading import parse
from ntkbench.spec.reading.validate import Draft, Validator

Rule = Callable[[Draft], Iterator[Problem]]
"""a function of a cell, as far as it could be read, that yields what is wrong with it"""


RULES: tuple[Rule, ...] = (
    reserved_ids,
    attack_sources,
    poison_kernel,
    analysis_targets,
    analysis_attacks,
    transfers,
    budgets,
    networks,
    pretrained,
    rules_kernels.kernels,
    schedules,
    batches,
    problems,
    rules_attacks.problems,
    rules_attacks.given_images,
    architectures.problems,
    rules_kernels.problems,
    analyses.problems,
    certificates.problems,
    rules_networks.problems,
)
"""all rules, in the order in which they are applied"""
OF_A_NETWORK: tuple[Rule, ...] = (
    budgets,
    pretrained,
    schedules,
    batches,
    rules_attacks.problems,
    architectures.problems,
)
"""rules that are also applied to each further network, as if it were the run's own"""


def rule_problems(draft: Draft) -> Iterator[Problem]:
    """Yield all that the rules find wrong with a cell."""
    for rule in RULES:
        yield from rule(draft)
    for name in draft.cell.networks if draft.whole("networks") else ():
        own, written = draft.of_network(name), draft.root.at(("networks", name)).entries
        for problem in (problem for rule in OF_A_NETWORK for problem in rule(own)):
            is_here = re.split(r"[.[]", problem.path)[0] in written
            yield replace(problem, path=f"networks.{name}.{problem.path}") if is_here else problem


def check(cell: Cell, place: str) -> None:
    """Raise SpecError with all mistakes of a cell that was not read from a file; `place` stands for the file."""
    root = parse.parse_value(json.dumps(resolved(cell)), place)
    draft, problems = Validator().draft(root)
    found = [
        *problems,
        *rule_problems(draft),
        *architectures.absent(draft, ()),
        *rules_data.problems(root),
        *unidentified(root),
    ]
    if found:
        raise SpecError(found)
