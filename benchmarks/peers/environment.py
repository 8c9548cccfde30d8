"""Makes the peer's own virtual environment, and prints its Python: `environment.py [--env FOLDER] [--python PYTHON]`.

neural-tangents does not import on the JAX that ntkbench needs, so the two cannot share one.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from platformdirs import user_cache_path

HERE = Path(__file__).parent
NAME = "requirements-neural-tangents"
PYTHONS = [(3, minor) for minor in range(9, 13)]
"""for which its jaxlib, numpy and scipy are built"""


def make(folder: Path, python: str) -> Path:
    """The environment's Python; one that is complete is used as it is."""
    binary = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = folder / f"{NAME}.installed"
    wanted = "".join((HERE / f"{NAME}{suffix}.txt").read_text() for suffix in ("", "-no-deps"))
    if done.exists() and done.read_text() == wanted:
        return binary
    subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
    install = [str(binary), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*install, "-r", str(HERE / f"{NAME}.txt")], check=True)
    subprocess.run([*install, "--no-deps", "-r", str(HERE / f"{NAME}-no-deps.txt")], check=True)
    done.write_text(wanted)
    return binary


def version(python: str) -> tuple[int, int]:
    """Of a Python."""
    asked = subprocess.run([python, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True)
    if asked.returncode:
        raise OSError(f"it does not run: {asked.stderr.strip()}")
    major, minor = asked.stdout.split()
    return int(major), int(minor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cache = user_cache_path("ntkbench") / "peers" / "neural-tangents-0.6.5"
    parser.add_argument("--env", type=Path, default=cache, metavar="FOLDER", help=f"where ({cache})")
    parser.add_argument("--python", default=sys.executable, help="what it is made with: 3.9 to 3.12 (this one)")
    options = parser.parse_args()
    try:
        found = version(options.python)
    except OSError as error:
        parser.error(f"--python {options.python}: {error}")
    if found not in PYTHONS:
        parser.error(f"{options.python} is {found[0]}.{found[1]}; JAX 0.4.25 needs 3.9 to 3.12: name one by --python")
    if options.env.exists() and any(options.env.iterdir()) and not (options.env / "pyvenv.cfg").exists():
        parser.error(f"--env {options.env}: the folder holds something else; name another")
    try:
        print(make(options.env.absolute(), options.python))
    except subprocess.CalledProcessError as error:
        sys.exit(f"could not make the environment: `{' '.join(error.cmd)}` ended with exit status {error.returncode}")


if __name__ == "__main__":
    main()
