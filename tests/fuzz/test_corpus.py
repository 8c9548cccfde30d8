"""Every reader keeps its contract: on all inputs that are committed, on what hypothesis makes, and under a fuzzer."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import mutations
from tests.fuzz.targets import CORPUS, TARGETS, kept, seeds

KNOWN = mutations.words()


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_keeps_the_contract(name: str, tmp_path: Path):
    good = [kept(TARGETS[name], path.read_bytes(), tmp_path) for path in sorted((CORPUS / name).iterdir())]
    assert any(good), "some inputs are good, or the contract is about nothing"


def test_the_corpus_is_small():
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == set(TARGETS)
    assert sum(path.stat().st_size for path in files) < 10**6


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.form])
def test_changed_trees_keep_the_contract(name: str, tmp_path: Path):
    starts = [path.read_bytes() for path in seeds(name)]

    @settings(max_examples=40)
    @given(st.sampled_from(starts), st.integers(0, 2**30))
    def keeps(data: bytes, seed: int):
        changed = mutations.mutated(data, TARGETS[name].form, seed, KNOWN)
        if changed is not None:
            kept(TARGETS[name], changed[: TARGETS[name].longest], tmp_path)

    keeps()


@pytest.mark.parametrize("name", TARGETS)
def test_changed_bytes_keep_the_contract(name: str, tmp_path: Path):
    starts = [path.read_bytes() for path in seeds(name)]

    @settings(max_examples=40)
    @given(st.binary(max_size=200) | st.sampled_from(starts), st.data())
    def keeps(data: bytes, draw: st.DataObject):
        content = bytearray(data)
        for _ in range(draw.draw(st.integers(0, 3)) if content else 0):
            content[draw.draw(st.integers(0, len(content) - 1))] = draw.draw(st.integers(0, 255))
        kept(TARGETS[name], bytes(content), tmp_path)

    keeps()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris: pip install -e '.[fuzz]'")
@pytest.mark.parametrize("name", TARGETS)
def test_the_fuzzer_finds_nothing(name: str, tmp_path: Path):
    command = [sys.executable, "-m", "tests.fuzz.run", name, "--runs", "1000", "--keep", str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done 1000 runs" in done.stderr
