import io

from rich.console import Console

from ntkbench.plan.runs import label
from ntkbench.run.progress import Bar, Lines, progress
from tests.examples import factory

RUN, OTHER = factory.planned(factory.cell(), (0, 7), width="32", regime="[linear]")


def told(terminal: bool) -> str:
    """What both kinds say of two runs."""
    output = io.StringIO()
    watcher = progress(Console(file=output, force_terminal=terminal, width=200, color_system=None))
    assert isinstance(watcher, Bar if terminal else Lines)
    watcher.begin(3, 1)
    watcher.working(RUN, "epoch 1 of 2")
    watcher.ended(RUN, "ok", 1.25, "")
    watcher.warn("[bold] is damaged")
    watcher.ended(OTHER, "failed", 0.04, "the kernel is singular")
    watcher.close()
    return output.getvalue()


def test_a_run_is_called_by_its_coordinates():
    assert label(RUN) == "width=32 regime=[linear] seed=0"


def test_a_file_gets_one_plain_line_a_run():
    assert told(terminal=False).splitlines() == [
        "3 runs, of which 1 are done",
        "[2/3] width=32 regime=[linear] seed=0  ok  1.2 s",
        "warning: [bold] is damaged",
        "[3/3] width=32 regime=[linear] seed=7  failed  0.0 s  the kernel is singular",
    ]


def test_a_terminal_gets_a_bar_and_the_runs_that_went_wrong():
    text = told(terminal=True)
    assert "3/3" in text
    assert "width=32 regime=[linear] seed=0: epoch 1 of 2" in text
    assert "width=32 regime=[linear] seed=7  failed  0.0 s  the kernel is singular" in text
    assert "warning: [bold] is damaged" in text
    assert "seed=0  ok" not in text
