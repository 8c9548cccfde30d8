"""`import ntkbench`: its names, and what they load."""

import subprocess
import sys

import pytest

import ntkbench as nb

HEAVY = ("jax", "pandas", "pydantic", "matplotlib", "numpy", "yaml", "scipy")


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_loads_nothing_heavy():
    code = f"import sys, ntkbench\ndir(ntkbench)\nprint(*(set({HEAVY!r}) & sys.modules.keys()))"
    assert python(code) == ""


def test_planning_does_not_load_jax():
    code = "import sys, ntkbench as nb\nnb.plan('specs/quickstart.yaml', store='nowhere')\nprint('jax' in sys.modules)"
    assert python(code) == "False"


def test_names_are_those_of_the_interface():
    assert set(nb.__all__) < set(dir(nb))
    assert all(callable(getattr(nb, name)) for name in nb.__all__)
    assert "ntk" not in dir(nb)
    with pytest.raises(AttributeError, match="no attribute 'rum'"):
        nb.rum  # noqa: B018


def test_packages_of_the_same_name_stay_importable():
    code = """
import ntkbench.plan.read
from ntkbench.run import job
from ntkbench import plan, run, results
import ntkbench as nb
assert (nb.plan, nb.run, nb.results) == (plan, run, results)
print(plan.__name__, run.__module__, job.Options().retry)
"""
    assert python(code) == "plan ntkbench.api.execution True"
