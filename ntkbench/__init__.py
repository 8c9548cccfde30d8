"""ntkbench: a declarative benchmark of what the Neural Tangent Kernel says about adversarial robustness.

    import ntkbench as nb

    results = nb.run("specs/quickstart.yaml", store="runs")
    results.frame

The names of the interface are those of `__all__`, and are loaded when they are first used (PEP 562): importing ntkbench
loads neither JAX nor pandas. Everything else is internal, and may change.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# The functions plan, results and run have the names of packages. Python binds a package to its name here when it is
# first imported, which is now; what is deleted below is later found by `__getattr__`, as the function.
import ntkbench.plan
import ntkbench.results
import ntkbench.run  # noqa: F401

if TYPE_CHECKING:
    from ntkbench.api.evaluation import evaluate as evaluate
    from ntkbench.api.evaluation import save_weights as save_weights
    from ntkbench.api.execution import run as run
    from ntkbench.api.experiment import Spec as Spec
    from ntkbench.api.experiment import load as load
    from ntkbench.api.forecast import PlannedRuns as PlannedRuns
    from ntkbench.api.forecast import plan as plan
    from ntkbench.api.images import Images as Images
    from ntkbench.api.pictures import Plots as Plots
    from ntkbench.api.results import Features as Features
    from ntkbench.api.results import Results as Results
    from ntkbench.api.results import results as results
    from ntkbench.errors import NtkbenchError as NtkbenchError
    from ntkbench.errors import SpecError as SpecError

__version__ = "0.1.0"
__all__ = [
    "Features",
    "Images",
    "NtkbenchError",
    "PlannedRuns",
    "Plots",
    "Results",
    "Spec",
    "SpecError",
    "evaluate",
    "load",
    "plan",
    "results",
    "run",
    "save_weights",
]

_HOMES = {
    "load": "ntkbench.api.experiment",
    "plan": "ntkbench.api.forecast",
    "run": "ntkbench.api.execution",
    "results": "ntkbench.api.results",
    "evaluate": "ntkbench.api.evaluation",
    "save_weights": "ntkbench.api.evaluation",
    "Spec": "ntkbench.api.experiment",
    "PlannedRuns": "ntkbench.api.forecast",
    "Results": "ntkbench.api.results",
    "Features": "ntkbench.api.results",
    "Plots": "ntkbench.api.pictures",
    "Images": "ntkbench.api.images",
    "SpecError": "ntkbench.errors",
    "NtkbenchError": "ntkbench.errors",
}
"""module of each name of the interface"""

del plan, results, run


def __getattr__(name: str) -> Any:
    """Return a name of the interface, loading its module; AttributeError for any other name."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ntkbench' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Return the names of the interface."""
    return sorted([*__all__, "__version__"])
