"""Fuzz a target with atheris: `python -m tests.fuzz.run TARGET --runs N [--keep FOLDER]`.

Coverage of ntkbench guides it. It ends at the first input that breaks the contract of `targets.py`, takes longer than a
second or more than 500 MB of memory, and leaves that input in the folder; else it tells how many inputs it tried.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ntkbench"]):  # pyright: ignore[reportAttributeAccessIssue]
    from tests.fuzz import mutations, targets


SECONDS = 1


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("target", choices=targets.TARGETS)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="where inputs that reach further are kept")
    given = parser.parse_args()
    target, known = targets.TARGETS[given.target], mutations.words()
    keep = given.keep or Path(tempfile.mkdtemp(prefix=f"fuzz-{given.target}-"))
    keep.mkdir(parents=True, exist_ok=True)
    words = keep.with_name(f"{keep.name}.dict")
    words.write_text(
        "".join(
            f'"{word}"\n'
            for word in known
            if word.isascii() and word.isprintable() and '"' not in word and "\\" not in word
        )
    )
    scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))

    slowest = [0.05]

    def one(data: bytes) -> None:
        began = time.process_time()  # others may use this machine, too
        targets.kept(target, data, scratch)
        if (spent := time.process_time() - began) > slowest[-1]:
            slowest.append(spent)
            print(f"slowest: {spent:.2f} s", file=sys.stderr)
        assert spent < SECONDS, f"{spent:.2f} s"

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        tree = mutations.mutated(data, target.form, seed, known) if seed % 4 else None
        return atheris.Mutate(data, longest) if tree is None else tree[:longest]

    options = {
        "runs": given.runs,
        "seed": given.seed,
        "timeout": 30,  # of the clock: where Python itself hangs
        "rss_limit_mb": 500,
        "max_len": target.longest,
        "dict": words,
        "artifact_prefix": f"{keep}-",
        "print_final_stats": 1,
    }
    folders = [keep, *(folder for folder in (targets.CORPUS / given.target, *target.seeds) if folder.is_dir())]
    arguments = [sys.argv[0], *(f"-{name}={value}" for name, value in options.items()), *map(str, folders)]
    atheris.Setup(arguments, one, **({"custom_mutator": mutate} if target.form else {}))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
