"""`ntkbench run` as a process of its own, that may end in any way."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ntkbench.plan.keys import shared_stages
from ntkbench.plan.runs import Run
from ntkbench.store.groups import trained
from ntkbench.store.running import Running, running
from ntkbench.store.store import Store
from tests.faults.doomed import Doom


@dataclass(frozen=True)
class Command:
    """A spec in a store. `cache`: where JAX keeps compiled programs, so that a start costs seconds and not a minute."""

    spec: Path
    store: Store
    cache: Path
    options: tuple[str, ...] = ()

    def start(self, doom: Doom | None = None) -> subprocess.Popen[bytes]:
        """Start the command in a process group of its own; `doom` says where it kills itself."""
        module = "tests.faults.doomed" if doom else "ntkbench.cli.main"
        words = ["run", str(self.spec), "--store", str(self.store.root), *self.options]
        programs = {"JAX_COMPILATION_CACHE_DIR": str(self.cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        with self._told.open("ab") as told:
            return subprocess.Popen(
                [sys.executable, "-m", module, *words],
                env={**os.environ, **programs, **(doom.environment if doom else {})},
                stdout=subprocess.DEVNULL,
                stderr=told,
                start_new_session=True,
            )

    @property
    def _told(self) -> Path:
        return self.spec.with_name(f"{sha256(str(self.store.root).encode()).hexdigest()[:12]}.log")

    @property
    def told(self) -> str:
        """By all processes so far."""
        return self._told.read_text("utf-8")

    def finish(self, process: subprocess.Popen[bytes] | None = None, code: int = 0) -> None:
        """To the end of a process, or of a new one."""
        assert (process or self.start()).wait(timeout=600) == code, self.told


def at_work(store: Store) -> list[Running]:
    """Units that a process which lives is at."""
    return [found for found in running(store) if Path(f"/proc/{found.process}").exists()]


def stage(store: Store, runs: Sequence[Run]) -> str:
    """Where the command on this store is."""
    for name, key, _ in shared_stages(runs[0].cell):
        if store.is_held(f"{name}-{key}"):
            return name
    for found in at_work(store):
        run = next(run for run in runs if run.id == found.runs[0])
        return "measuring" if run.seed in trained(store, run.cell) else "training"
    return "start"


def reach(process: "subprocess.Popen[bytes]", store: Store, runs: Sequence[Run], wanted: str) -> bool:
    """Wait until the command is there; whether it was before its end."""
    while process.poll() is None:
        if stage(store, runs) == wanted:
            return True
        time.sleep(0.005)
    return False
