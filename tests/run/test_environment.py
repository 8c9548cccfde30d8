import getpass
import json
import os
import platform
import resource
import subprocess
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.run import environment


@pytest.fixture
def fresh():
    environment.software.cache_clear()
    yield
    environment.software.cache_clear()


def test_versions_and_settings_are_told():
    found = environment.software()
    assert found["jax"] == jax.__version__
    assert {"ntkbench", "commit", "dirty", "python", "jaxlib", "equinox", "optax", "numpy"} <= found.keys()
    settings = environment.jax_settings()
    assert settings["x64"] is True
    assert settings["backend"] == jax.default_backend()
    assert environment.device()["count"] >= 1
    assert (settings["prng"], settings["threefry_partitionable"]) == ("threefry2x32", True)
    assert settings["changed"] == {}


def test_other_settings_of_jax_are_told(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/home/somebody --xla_backend_optimization_level=1")
    jax.config.update("jax_threefry_partitionable", False)
    try:
        told = environment.jax_settings()
    finally:
        jax.config.update("jax_threefry_partitionable", True)
    assert told["changed"] == {"jax_threefry_partitionable": False}
    assert told["xla_flags"] == ["--xla_backend_optimization_level=1", "--xla_dump_to"]


def test_a_run_has_a_peak_of_its_own():
    """What an earlier run held, and gave back, is none of the next one's."""
    environment.reset_peak_memory()
    held = np.ones(30_000_000)
    large = environment.resources(1.5)
    del held
    environment.reset_peak_memory()
    small = environment.resources(2.5)
    assert large["wall_s"] == 1.5
    assert large["host_peak_of"] == small["host_peak_of"] == "run"
    assert large["host_peak_bytes"] - small["host_peak_bytes"] > 200_000_000
    assert "device_peak_bytes" not in large, "a processor has none"


def test_where_the_peak_cannot_be_reset_it_is_that_of_the_process(monkeypatch):
    monkeypatch.setattr(environment, "_PEAK_RESET", Path("/proc/self/no such file"))
    environment.reset_peak_memory()
    taken = environment.resources(1.0)
    assert taken["host_peak_of"] == "process"
    assert taken["host_peak_bytes"] >= 10**7


def test_an_accelerator_tells_its_own_peak(monkeypatch):
    class Device:
        def memory_stats(self) -> dict[str, int]:
            return {"peak_bytes_in_use": 123}

    monkeypatch.setattr("jax.local_devices", lambda: [Device()])
    assert environment.resources(1.0)["device_peak_bytes"] == 123


def test_nothing_tells_whose_machine_it_was():
    text = json.dumps([environment.software(), environment.jax_settings(), environment.device()])
    for secret in (platform.node(), str(Path.home()), os.getcwd()):
        assert secret not in text
    assert f'"{getpass.getuser()}"' not in text


@pytest.mark.usefixtures("fresh")
def test_an_installed_package_has_no_commit(monkeypatch):
    def no_checkout(*arguments: object, **_: object) -> None:
        raise subprocess.CalledProcessError(128, "git")

    monkeypatch.setattr("subprocess.run", no_checkout)
    assert (environment.software()["commit"], environment.software()["dirty"]) == (None, None)


@pytest.mark.usefixtures("fresh")
def test_a_package_inside_somebody_elses_checkout_has_no_commit(tmp_path: Path, monkeypatch):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "theirs"], check=True)
    (tmp_path / "__init__.py").write_text("")
    monkeypatch.setattr("ntkbench.__file__", str(tmp_path / "__init__.py"))
    assert (environment.software()["commit"], environment.software()["dirty"]) == (None, None)
    subprocess.run([*git, "add", "__init__.py"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "ours"], check=True)
    environment.software.cache_clear()
    assert environment.software()["dirty"] is False
    (tmp_path / "__init__.py").write_text("changed = 1")
    environment.software.cache_clear()
    assert environment.software()["dirty"] is True


def test_compilation_is_timed_while_the_clock_runs():
    with environment.CompileClock() as clock:
        jax.jit(lambda x: x * 3 + 1)(jnp.arange(3.0)).block_until_ready()
    heard = clock.seconds
    assert heard > 0
    jax.jit(lambda x: x * 5 - 1)(jnp.arange(3.0)).block_until_ready()
    assert clock.seconds == heard


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no limit that could be read")
def test_programs_are_forgotten_when_they_are_many_and_not_before():
    def maps() -> int:
        return Path("/proc/self/maps").read_bytes().count(b"\n")

    for n in range(20):
        jax.jit(lambda x, n=n: jnp.sin(x) * n)(jnp.ones(n + 1))
    before = maps()
    assert not environment.release_compiled_programs(1.0)
    assert environment.release_compiled_programs(1e-6)
    assert maps() < before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_goes_back_to_the_system():
    """Blocks of a size that glibc keeps for itself, with one in between that keeps the heap from shrinking."""
    kept = [bytearray(50_000) for _ in range(4_000)]
    last, before = kept[-1], _resident()
    del kept
    assert _resident() > before - 20e6
    environment.return_memory()
    assert _resident() < before - 150e6
    assert len(last) == 50_000


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_only_files_that_can_change_a_number_make_it_dirty(tmp_path: Path, monkeypatch):
    def git(*words: str) -> None:
        subprocess.run(["git", "-C", tmp_path, "-c", "user.name=x", "-c", "user.email=x", *words], check=True)

    package = tmp_path / "ntkbench"
    package.mkdir()
    for path in (package / "__init__.py", tmp_path / "table.csv"):
        path.write_text("1\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "x")
    monkeypatch.setattr("ntkbench.__file__", str(package / "__init__.py"))
    (tmp_path / "table.csv").write_text("2\n")
    assert environment._commit()["dirty"] is False, "a board that was built"
    (package / "__init__.py").write_text("2\n")
    assert environment._commit()["dirty"] is True
