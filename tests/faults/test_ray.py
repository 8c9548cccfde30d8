"""A cluster that loses a worker, or a whole node; the command goes on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ntkbench.store import lookup
from tests.examples import tiny
from tests.faults.command import Command, at_work, reach
from tests.faults.conftest import Whole
from tests.faults.doomed import family, kill

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
ray = pytest.importorskip("ray", reason="needs Ray: pip install 'ntkbench[ray]'")


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head without a place for work, and two nodes with one each."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [made.add_node(num_cpus=1) for _ in range(2)]
    assert len(nodes) == 2
    yield made
    made.shutdown()


def began(cluster: Any, whole: Whole, folder: Path) -> tuple[Command, Any, int]:
    """A command on the cluster, its process, and the process of a worker that is at a unit."""
    command = whole.at(folder, "--executor", "ray", "--address", cluster.address)
    process = command.start()
    assert reach(process, command.store, whole.runs, "training"), command.told
    return command, process, at_work(command.store)[0].process


def check(command: Command, whole: Whole) -> None:
    assert tiny.results(command.store, whole.runs) == whole.results
    assert [record.attempt for record in lookup.records(command.store, whole.runs)] == [1] * len(whole.runs)


def test_a_worker_that_is_killed_is_replaced(cluster: Any, whole: Whole, tmp_path: Path):
    command, process, worker = began(cluster, whole, tmp_path / "runs")
    kill([worker])
    command.finish(process)
    check(command, whole)


def test_a_node_that_is_lost_is_done_without(cluster: Any, whole: Whole, tmp_path: Path):
    command, process, worker = began(cluster, whole, tmp_path / "runs")
    (lost,) = (node for node in cluster.worker_nodes if worker in family(raylet(node)))
    kill(family(raylet(lost)))
    cluster.remove_node(lost, allow_graceful=False)
    command.finish(process)
    check(command, whole)


def raylet(node: Any) -> int:
    """The process that all others of a node descend from."""
    return node.all_processes["raylet"][0].process.pid
