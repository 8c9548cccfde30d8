"""The notebook of the documentation runs from its first cell to its last, and knows the interface alone."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOUR = ROOT / "docs" / "examples" / "tour.ipynb"
KNOWN = {"ntkbench", "numpy", "jax", "jax.numpy", "equinox"}
EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


def test_nothing_internal_is_imported():
    cells = json.loads(TOUR.read_text("utf-8"))["cells"]
    tree = ast.parse("\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"))
    imports = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert "ntkbench" in imports
    assert set(imports) <= KNOWN
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))
    assert not any(isinstance(node, ast.Attribute) and node.attr.startswith("_") for node in ast.walk(tree))
    assert all("outputs" not in cell or cell["outputs"] == [] for cell in cells)


@pytest.mark.slow
def test_it_runs_and_shows_tables_and_pictures(tmp_path: Path):
    done = tmp_path / "done.ipynb"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "IPYTHONDIR": str(tmp_path)}
    command = [sys.executable, "-c", EXECUTE, str(TOUR), str(done)]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    cells = [cell for cell in json.loads(done.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    pages = ["".join(output.get("data", {}).get("text/html", "")) for cell in cells for output in cell["outputs"]]
    assert sum("<table" in page for page in pages) >= 4, "spec, plan, results, frame, evaluation"
    assert sum("<img src='data:image/png;base64," in page for page in pages) == 2, "pictures and images"
    assert len(list((tmp_path / "runs" / "records").glob("*.json"))) == 5
