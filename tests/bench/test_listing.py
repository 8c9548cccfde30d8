import pytest

from ntkbench.bench.listing import listing
from ntkbench.bench.vocabulary import METRICS
from ntkbench.data.catalog import CATALOG


def test_every_data_set_is_listed():
    names = {line.split()[0] for line in listing("datasets").splitlines()[2:]}
    assert names == {*CATALOG, "two_gaussians", "sphere_teacher"}


def test_every_metric_is_listed_with_its_direction():
    lines = {line.split()[0]: line for line in listing("metrics").splitlines()[2:]}
    assert lines.keys() == METRICS.keys()
    assert all("higher" in lines[name] for name, metric in METRICS.items() if metric.higher_is_better)


@pytest.mark.parametrize(
    ("what", "kinds"),
    [
        ("kernels", {"infinite", "empirical"}),
        ("attacks", {"fgsm", "pgd", "random_sign"}),
        ("analyses", {"accuracy", "transfer"}),
    ],
)
def test_every_kind_is_listed_with_its_meaning(what: str, kinds: set[str]):
    lines = {line.split()[0]: line for line in listing(what).splitlines()[2:]}
    assert kinds <= lines.keys()
    assert all("." in line for line in lines.values()), "a sentence of its docstring"
