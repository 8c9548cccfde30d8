"""What an accelerator does with kernels, attacks and trainings, within a budget of time.

    python benchmarks/gpu.py [--minutes 7] [--data-dir DATA] [--json FILE]

Prints each result as it comes, and at the end a Markdown table for RESULTS.md. Parts in their order: every kernel
against float64 on the CPU, at few images (`correct`); times beside the card's own floor, see `floor.py` (`kernels`);
the kernel of 50,000 images, its factorization, and FGSM of 10,000 images through it (`whole`); epochs of training on
PGD of CIFAR-10's size (`training`); the Myrtle-5 kernel that ten minutes would allow (`largest`). A part that no time
is left for is said to be left out, and one that fails is told with its error. Images are those of CIFAR-10 where
`--data-dir` has them, else random ones of the same shape. `--tiny` does all of it on so few images that a CPU is done
in seconds; its times say nothing.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

sys.path.insert(0, str(Path(__file__).parent))  # its neighbours, from wherever it is started

import cases
import floor
import ours

from ntkbench.data.load import load
from ntkbench.data.places import search_roots
from ntkbench.errors import NtkbenchError
from ntkbench.ntk import attacks, balls, gram, losses, network, regression, training
from ntkbench.ntk.infinite import InfiniteKernel
from ntkbench.run.build.networks import stateless
from ntkbench.spec.architectures import CNNLarge, ResNet

CORRECT = (
    *("fc3", "conv2", "conv2-gap", "myrtle5-8", "myrtle7", "gradient-fc3", "gradient-myrtle5", "pgd-fc3"),
    *("cnn-small", "cnn-large", "fc"),
)
"""cases whose results are compared with float64 on the CPU"""
TOLERANCE = {"float32": 1e-3, "float64": 1e-7}
TIMED = tuple(
    cases.CASES[name]
    for name in ("fc3", "conv2", "myrtle5", "myrtle7", "myrtle10", "gradient-fc3", "gradient-myrtle5", "pgd-fc3-500")
)
PROBE = cases.Case("cnn-large-250", "full", cases.CNN_LARGE, 250)
"""the kernel of a finite network in `specs/drift/cifar10-paper.yaml`: 250 images, all pairs of ten outputs"""
TINY = ("fc3", "pgd-fc3")
IMAGE, CLASSES, EPOCH, TEN_MINUTES = (32, 32, 3), 10, 50_000, 600.0


@dataclass
class Report:
    """Results as they come, each printed at once and kept in the JSON file; and the time that is left."""

    seconds: float
    file: Path | None
    rows: list[dict[str, Any]] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)

    @property
    def left(self) -> float:
        """Return the seconds of the budget that are left."""
        return self.seconds - (time.perf_counter() - self.began)

    def add(self, part: str, what: str, **facts: Any) -> None:
        """Print a result, and write all results so far to the file."""
        self.rows.append({"part": part, "what": what, **facts})
        print(f"[{self.seconds - self.left:5.0f} s] {part}: {what}: {_said(facts)}", flush=True)
        if self.file:
            described = {"device": str(jax.devices()[0].device_kind), "versions": ours.versions(), "rows": self.rows}
            self.file.write_text(json.dumps(described, indent=1) + "\n", "utf-8")

    def attempt(self, part: str, what: str, work: Callable[[], dict[str, Any]]) -> None:
        """Add what `work` returns, or why there is nothing: an accelerator's memory may be too small, or time is up."""
        if self.left <= 0:
            self.add(part, what, note="left out: no time")
            return
        try:
            facts = work()
        except (RuntimeError, ValueError, MemoryError) as error:
            facts = {"note": f"failed: {str(error).splitlines()[0][:200]}"}
        self.add(part, what, **facts)

    def table(self) -> str:
        """Return all results as Markdown."""
        lines = [f"| {row['part']} | {row['what']} | {_said(row)} |" for row in self.rows]
        return "\n".join(["| part | what | result |", "|---|---|---|", *lines])


def _said(facts: dict[str, Any]) -> str:
    """Return facts as text: `name value`, and numbers with three digits."""
    shown = {name: value for name, value in facts.items() if name not in ("part", "what")}
    digits = {name: f"{value:.3g}" if isinstance(value, float) else value for name, value in shown.items()}
    return ", ".join(f"{name} {value}" for name, value in digits.items())


@dataclass(frozen=True)
class Sizes:
    """How much each part does."""

    images: int
    tests: int
    batches: int
    batch: int
    steps: int
    width: int
    image: tuple[int, int, int] = IMAGE


FULL_SIZE = Sizes(images=50_000, tests=10_000, batches=8, batch=250, steps=20, width=32)
TINY_SIZE = Sizes(images=40, tests=6, batches=2, batch=5, steps=2, width=2, image=(8, 8, 3))


@dataclass(frozen=True)
class Images:
    """Training and test images in float32, with labels."""

    sizes: Sizes
    data_dir: Path | None

    @cached_property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return images and labels to train on, then those to attack."""
        n, m = self.sizes.images, self.sizes.tests
        try:
            found = load("cifar10", search_roots(self.data_dir))
            train, test = found.train, found.test
            return train.unit(np.float32)[:n], train.labels[:n], test.unit(np.float32)[:m], test.labels[:m]
        except NtkbenchError:
            rng, shape = np.random.default_rng(0), self.sizes.image
            X, tests = rng.random((n, *shape), np.float32), rng.random((m, *shape), np.float32)
            return X, rng.integers(CLASSES, size=n), tests, rng.integers(CLASSES, size=m)


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return how long some work took until its results were there, and these."""
    began = time.perf_counter()
    found = jax.block_until_ready(work())
    return time.perf_counter() - began, found


# ---- parts ---------------------------------------------------------------------------------------


def results(names: Sequence[str], dtype: str, tiny: bool) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what is compared of each case, at few images."""
    for name in names:
        case = _few(cases.CASES[name], tiny)
        work, seen = ours.prepare(case, cases.arrays(case, dtype))
        yield name, np.asarray(seen(jax.block_until_ready(work())))


def _few(case: cases.Case, tiny: bool) -> cases.Case:
    return replace(case.tiny(), n=4, size=8) if tiny else case.tiny()


def correct(report: Report, tiny: bool) -> None:
    """Compare every kernel in both precisions with float64 on the CPU, which another process computes meanwhile."""
    names, found = TINY if tiny else CORRECT, {}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "reference.npz"
        command = [sys.executable, __file__, "--reference", str(file), *["--tiny"] * tiny]
        reference = subprocess.Popen(command, env={**os.environ, "JAX_PLATFORMS": "cpu"})
        try:
            for dtype in TOLERANCE:
                for name in names:
                    work = partial(_kept, found, name, dtype, tiny)
                    report.attempt("correct", f"{name}, {dtype}, ran", work)
            reference.wait(timeout=max(1.0, report.left))
        except subprocess.TimeoutExpired:
            reference.kill()
        true = dict(np.load(file)) if reference.wait() == 0 else {}
    for (name, dtype), array in found.items():
        report.attempt("correct", f"{name}, {dtype}", partial(_compared, name, dtype, array, true, tiny))


def _compared(name: str, dtype: str, array: np.ndarray, true: Mapping[str, np.ndarray], tiny: bool) -> dict[str, Any]:
    """Return how far a result is from the reference, and whether that is within the tolerance of its precision."""
    if name not in true:
        return {"note": "left out: the reference was not ready"}
    case = _few(cases.CASES[name], tiny)
    off = cases.difference(case, array, true[name], cases.arrays(case, dtype).get("labels"))
    return {"relative_difference": off, "verdict": "agrees" if off <= TOLERANCE[dtype] else "DIFFERS"}


def _kept(found: dict[tuple[str, str], np.ndarray], name: str, dtype: str, tiny: bool) -> dict[str, Any]:
    """Put the result of a case into `found`; return the seconds, compilation included."""
    took, ((_, found[name, dtype]),) = seconds(lambda: list(results([name], dtype, tiny)))
    return {"seconds": took}


def kernels(report: Report, tiny: bool) -> None:
    """Time kernels, gradients and attacks, beside what the card cannot do without."""
    for dtype in TOLERANCE:
        top = floor.peak(dtype, 16 if tiny else 1)
        bandwidth = top.copying(2**28)
        report.add("kernels", f"peak, {dtype}", TFLOP_s=top.operations / 1e12, GB_s=bandwidth / 1e9)
        chosen = [_few(cases.CASES[name], tiny) for name in TINY] if tiny else [*TIMED, PROBE]
        for case in chosen:
            report.attempt("kernels", f"{case.name}, n = {case.n}, {dtype}", partial(timed, case, dtype, top))


def timed(case: cases.Case, dtype: str, top: floor.Peak) -> dict[str, Any]:
    """Return the first time of a case, the best of the next three, and the share of the floor that this reaches."""
    work, _ = ours.prepare(case, cases.arrays(case, dtype))
    first = seconds(work)[0]
    best = min(seconds(work)[0] for _ in range(3))
    return {"first_s": first, "s": best, "reached": floor.work(case, np.dtype(dtype).itemsize).floor(top) / best}


def whole(report: Report, images: Images) -> None:
    """Attack 10,000 images through the FC-1 kernel of 50,000: kernel, factorization, coefficients, FGSM."""
    X, labels, tests, test_labels = images.arrays
    kernel, made = InfiniteKernel(ours.recipe(cases.fc(1))), {}
    Y = np.eye(CLASSES)[labels] - 1 / CLASSES

    def matrix() -> dict[str, Any]:
        took, K = seconds(lambda: gram.gram(kernel, jnp.asarray(X))[:, 0, :, 0])
        made["K"] = K
        return {"seconds": took, "GB": K.nbytes / 1e9}

    def solve() -> dict[str, Any]:
        K = jnp.asarray(made["K"], jnp.float64)
        took, alpha = seconds(lambda: regression.solve(K, Y, ridge=1e-3 * float(K[0, 0])))
        if alpha is None:
            raise ValueError("the matrix is singular to round-off")
        made["alpha"] = alpha
        off = np.linalg.norm(np.asarray(K @ alpha) + 1e-3 * float(K[0, 0]) * alpha - Y) / np.linalg.norm(Y)
        return {"seconds": took, "TFLOP_s": len(K) ** 3 / 3 / took / 1e12, "residual": float(off)}

    def attack() -> dict[str, Any]:
        predictor = regression.predictor(kernel, jnp.asarray(X), jnp.asarray(made["alpha"], jnp.float32))
        fgsm = attacks.FGSM(balls.Linf(), attacks.Objective(losses.cross_entropy))
        arguments = jnp.asarray(tests), jnp.asarray(test_labels), jnp.array([cases.EPS], jnp.float32)
        took, adv = seconds(lambda: attacks.perturb(fgsm, predictor, *arguments, key=jax.random.key(0), batch_size=100))
        clean, fooled = (attacks.outputs(predictor, x, batch_size=100).argmax(1) for x in (arguments[0], adv[0]))
        right = [float(np.mean(np.asarray(each) == test_labels)) for each in (clean, fooled)]
        return {"seconds": took, "accuracy": right[0], "under_attack": right[1]}

    report.attempt("whole", f"FC-1 kernel of {len(X)} images, float32", matrix)
    if "K" in made:
        report.attempt("whole", "Cholesky and coefficients, float64", solve)
    made.pop("K", None)
    if "alpha" in made:
        report.attempt("whole", f"FGSM of {len(tests)} images, float32", attack)


def trainings(report: Report, images: Images, tiny: bool) -> None:
    """Time epochs of training on PGD, of the large network of Tsilivis & Kempe and of a ResNet-18."""
    width, steps = images.sizes.width, images.sizes.steps
    found = {
        "cnn_large": stateless(CNNLarge(kind="cnn_large"), width, CLASSES),
        "ResNet-18": stateless(ResNet(kind="resnet", blocks=2, stages=4), 2 * width, CLASSES),
    }
    if tiny:  # those take a CPU half a minute to compile
        found = {"fc": ours.recipe(("flatten", "dense 4", "relu", f"dense {CLASSES}"))}
    for name, recipe in found.items():
        report.attempt("training", f"{name}, PGD-{steps}, float32", partial(epoch, recipe, images))


def epoch(recipe: Any, images: Images) -> dict[str, Any]:
    """Return the seconds of an epoch on 50,000 images, from some batches after the first time."""
    sizes, (X, labels, *_) = images.sizes, images.arrays
    few = min(len(X), sizes.batches * sizes.batch)
    keys = jax.random.split(jax.random.key(0), 1)
    attack = attacks.PGD(balls.Linf(), attacks.Objective(losses.cross_entropy), sizes.steps, 2 / 255)
    inner = training.InnerAttack(attack, jnp.float32(cases.EPS), jnp.array(0), keys)
    problem = training.TrainingProblem(
        losses.cross_entropy, optax.sgd, sizes.batch, jnp.asarray(X[:few]), jnp.asarray(labels[:few]),
        jnp.full(1, 1e-2, jnp.float32), keys, inner,
    )  # fmt: skip
    draw = eqx.filter_jit(eqx.filter_vmap(lambda key: network.initialize(recipe, X.shape[1:], key=key)))
    nets = draw(keys)
    states = training.states(problem, nets, training.start(problem, nets, 2), every=1)
    first, _ = seconds(lambda: next(states))
    again, state = seconds(lambda: next(states))
    return {"first_s": first, "epoch_s": again * EPOCH / few, "loss": float(state.losses[0, -1])}


def largest(report: Report, tiny: bool) -> None:
    """Say how many images the Myrtle-5 kernel of ten minutes has, from the largest of growing ones."""
    n, most = (2, 4) if tiny else (64, 4096)
    while n <= most and report.left > 0:
        case = replace(cases.CASES["conv2" if tiny else "myrtle5"], n=n, size=8 if tiny else 32)
        work, _ = ours.prepare(case, cases.arrays(case, "float32"))
        first, best = seconds(work)[0], seconds(work)[0]
        extrapolated = int(n * math.sqrt(TEN_MINUTES / best))
        report.add("largest", f"{case.name}, n = {n}", first_s=first, s=best, images_in_ten_minutes=extrapolated)
        if 5 * best + first > report.left:  # twice the images take four times as long
            return
        n *= 2


def main(arguments: Sequence[str] | None = None) -> Report:
    """Do all parts within the budget; return the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=7.0)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--reference", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    jax.config.update("jax_enable_x64", True)
    if options.reference:
        found: dict[str, Any] = dict(results(TINY if options.tiny else CORRECT, "float64", options.tiny))
        np.savez(options.reference, **found)
        return Report(0, None)
    report = Report(60 * options.minutes, options.json)
    images = Images(TINY_SIZE if options.tiny else FULL_SIZE, options.data_dir)
    print(f"{jax.devices()[0].device_kind}, {ours.versions()}, {options.minutes:g} minutes", flush=True)
    correct(report, options.tiny)
    kernels(report, options.tiny)
    whole(report, images)
    trainings(report, images, options.tiny)
    largest(report, options.tiny)
    print(f"\n{report.table()}")
    return report


if __name__ == "__main__":
    main()
