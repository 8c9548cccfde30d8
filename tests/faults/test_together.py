"""Several commands at once on one store, commands that are asked to end, and somebody who looks on."""

import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from ntkbench.store import lookup
from tests.examples import tiny
from tests.faults.command import Command, at_work, reach
from tests.faults.conftest import Whole
from tests.faults.doomed import kill

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("commands", [2, 8])
def test_commands_on_one_store_share_the_work(commands: int, whole: Whole, tmp_path: Path):
    command = whole.at(tmp_path / "runs")
    for process in [command.start() for _ in range(commands)]:
        command.finish(process)
    records = lookup.records(command.store, whole.runs)
    assert [record.attempt for record in records] == [1] * len(whole.runs)
    assert command.told.count("  ok  ") == len(whole.runs), "each run was told of once"
    assert tiny.results(command.store, whole.runs) == whole.results
    made = Counter(
        name for record in records for name, stage in record.stages.items() if stage.key and not stage.cached
    )
    assert made["kernel.limit"] == made["craft.ntk"] == 1, "what they share was made once"


@pytest.mark.skipif(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, reason="interrupts are ignored here")
@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_command_that_is_asked_to_end_leaves_order(asked: signal.Signals, whole: Whole, tmp_path: Path):
    def asked_to_end(folder: Path) -> Command | None:
        """None where, on a busy machine, it has ended before it hears."""
        command = whole.at(folder)
        process = command.start()
        assert reach(process, command.store, whole.runs, "training")
        process.send_signal(asked)
        return command if process.wait(timeout=600) == 130 else None

    command = next(filter(None, (asked_to_end(tmp_path / str(number)) for number in range(20))))
    assert command.told.splitlines()[-1] == "interrupted; the same command resumes"
    assert "Traceback" not in command.told
    assert not at_work(command.store)
    command.finish()
    assert tiny.results(command.store, whole.runs) == whole.results


@pytest.mark.skipif(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, reason="interrupts are ignored here")
def test_a_command_that_is_asked_twice_ends_at_once(whole: Whole, tmp_path: Path):
    command = whole.at(tmp_path / "runs")
    process = command.start()
    assert reach(process, command.store, whole.runs, "training")
    process.send_signal(signal.SIGINT)
    time.sleep(0.4)  # what comes sooner is one signal; it may have ended in order by then
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) in (0, 130, -signal.SIGINT)  # or it had ended, or Python was on its way out
    command.finish()
    assert tiny.results(command.store, whole.runs) == whole.results


def test_another_terminal_sees_all_of_it(whole: Whole, tmp_path: Path):
    """A command that is killed, and the next one."""
    command = whole.at(tmp_path / "runs")
    words = ["status", str(command.spec), "--store", str(command.store.root), "--watch", "--every", "0.1"]
    looking = subprocess.Popen([sys.executable, "-m", "ntkbench.cli.main", *words], stdout=subprocess.PIPE, text=True)
    lines = [_until(looking, "4 runs: 4 not begun")]
    process = command.start()
    assert reach(process, command.store, whole.runs, "training")
    lines.append(_until(looking, "2 running, 2 not begun; ends in about"))
    kill([process.pid])
    process.wait()
    lines.append(_until(looking, "its process died, `ntkbench run` takes it up"))
    assert looking.poll() is None, "what was killed is not over"
    command.finish()
    lines += looking.communicate(timeout=600)[0].splitlines()
    assert looking.returncode == 0
    assert lines[-1].partition(";")[0] == "4 runs: 4 ok"
    assert any("2 running, 2 not begun; ends in about" in line for line in lines)
    assert any(line.endswith("its process died, `ntkbench run` takes it up") for line in lines)


def _until(looking: "subprocess.Popen[str]", words: str) -> str:
    """The next line that has these words."""
    assert looking.stdout is not None
    return next(line.rstrip("\n") for line in looking.stdout if words in line)
