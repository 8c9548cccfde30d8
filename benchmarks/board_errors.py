"""How often boards tell equal entries apart, and how many different ones they tell: simulated.

    python benchmarks/board_errors.py [--boards 2000] [--write docs/statistics.md]
    python benchmarks/board_errors.py --tiny        # a few boards of each scenario, in seconds

A board has twelve entries. Under `equal` all are equally good; under `groups` there are four groups of three, a step
apart; under `one` eleven are equal and one is two steps better. An error is a board that tells at least one pair of
equal entries apart. `ntkbench/boards/ranking/ranks.py` is beside what it could have been: `alone`, without moderation;
`unlimited`, moderated with d0 as it is fitted; `unpaired`, as if seeds shared nothing.
"""

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from ntkbench.boards.ranking.pairs import Compared, Scores, compared, moderated, p_values
from ntkbench.uncertainty import holm

ENTRIES, ALPHA, MOST = 12, 0.05, 0.06
SEEDS = (3, 5, 10, 20)
NULLS = {
    "equal": np.zeros(ENTRIES),
    "groups": np.repeat([0.0, 1.0, 2.0, 3.0], 3),
    "one": np.array([2.0] + [0.0] * (ENTRIES - 1)),
}
"""how many steps better than the worst each entry is"""
PAIRS = np.triu_indices(ENTRIES, 1)
_CHUNK = 2**18
"""numbers that are drawn at a time: they fit into the cache"""
_MARKS = ("<!-- table of benchmarks/board_errors.py -->", "<!-- end of the table -->")

Board = tuple[np.ndarray, np.ndarray | None]
"""values (boards, entries, seeds), and influence (boards, entries, seeds, points) where there is one"""


@dataclass(frozen=True)
class Scenario:
    """A kind of board. `draw(rng, boards, seeds, steps)` draws several; `paired`: entries share their seeds."""

    name: str
    draw: Callable[[np.random.Generator, int, int, np.ndarray], Board]
    paired: bool
    points: int = 1
    share: bool = False


@dataclass(frozen=True)
class Found:
    """Share of boards with an error under each null, and of the different pairs of `groups` that are told."""

    errors: dict[str, float]
    power: float


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


def effects(rng: np.random.Generator, boards: int, seeds: int, common: float) -> np.ndarray:
    """Unit-variance effects of seeds, (boards, entries, seeds), of which `common` is all entries'."""
    return common**0.5 * normal(rng, boards, 1, seeds) + (1 - common) ** 0.5 * normal(rng, boards, ENTRIES, seeds)


def latent(rng: np.random.Generator, boards: int, seeds: int, points: int, shift: float, common: float) -> np.ndarray:
    """How easily each point is right: hard points that entries mostly agree on, a seed's luck, and noise.

    Of unit variance, and about normal; points vary twice as much as the noise, about as on real boards.
    """
    found = rng.random((boards, ENTRIES, seeds, points), dtype=np.float32)
    agreed, own = normal(rng, boards, 1, 1, points), normal(rng, boards, ENTRIES, 1, points)
    scale = np.float32(12**0.5)  # of uniform noise, which is drawn quickly
    found += (2 * (0.8**0.5 * agreed + 0.2**0.5 * own)) / scale
    found += (shift * effects(rng, boards, seeds, common)[..., None] / scale).astype(np.float32) - np.float32(0.5)
    found *= scale / np.float32((5 + shift**2) ** 0.5)
    return found


def shares(
    rng: np.random.Generator,
    boards: int,
    seeds: int,
    steps: np.ndarray,
    *,
    points: int,
    shift: float,
    common: float,
    step: float,
) -> Board:
    """Shares of test points, half of them right and a step more."""
    easy = latent(rng, boards, seeds, points, shift, common)
    right = (easy > -ndtri(0.5 + step * steps)[:, None, None].astype(np.float32)).astype(np.float32)
    return _centered(right)


def grid(rng: np.random.Generator, boards: int, seeds: int, steps: np.ndarray, *, points: int, step: float) -> Board:
    """Means over six truncations of the shares of points that are right, each truncation easier than the last."""
    easy = latent(rng, boards, seeds, points, 0.15, 0.7)
    right = np.zeros_like(easy)
    for rate in (0.55, 0.6, 0.65, 0.7, 0.72, 0.74):
        right += easy > -ndtri(rate + step * steps)[:, None, None].astype(np.float32)
    return _centered(right / 6)


def ratios(rng: np.random.Generator, boards: int, seeds: int, steps: np.ndarray, *, points: int, step: float) -> Board:
    """Transfer on the scale from random signs to the white-box attack, both of the target that a seed stands for."""
    easy = latent(rng, boards, seeds, points, 0.15, 0.7)
    target = np.sum(easy[:, :1], axis=1, keepdims=True)  # one target for all sources
    wrong, floor, ceiling = (
        _centered((of > -ndtri(rate).astype(np.float32)).astype(np.float32))
        for of, rate in (
            (easy, (0.35 + step * steps)[:, None, None]),
            (target, np.array(0.05)),
            (target, np.array(0.8)),
        )
    )
    width = ceiling[0] - floor[0]
    value = (wrong[0] - floor[0]) / width
    each = (wrong[1] - floor[1]) - value[..., None] * (ceiling[1] - floor[1])
    return value, each / width[..., None]


def logs(
    rng: np.random.Generator, boards: int, seeds: int, steps: np.ndarray, *, spread: str, common: float, step: float
) -> Board:
    """Logarithms of a distance; entries differ in how much their seeds vary."""
    sd = np.full((boards, ENTRIES), 0.3)
    if spread == "10":
        sd *= 10 ** (rng.random(sd.shape) / 2 - 0.25)
    elif spread == "100":
        sd *= 10 ** (rng.random(sd.shape) - 0.5)
    elif spread == "one":
        sd[:, -1] *= 10**0.5
    elif spread == "three":
        sd[:, 0::4] *= 10**0.5
    noise = effects(rng, boards, seeds, common)
    if spread == "tails":
        noise = noise / np.sqrt(rng.chisquare(5, (boards, ENTRIES, seeds)) / 5)
    return sd[..., None] * noise + step * steps[:, None], None


def _centered(each: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over points, and their change with each point."""
    value = each.mean(axis=-1, dtype=float)
    each -= value[..., None].astype(np.float32)
    return value, each


def _scenarios() -> Iterator[Scenario]:
    for points, step in ((2000, 0.03), (200, 0.08)):
        like = 0.65 / points**0.5 * 5**0.5  # a seed then varies about as much as the points do in the mean
        for shift, much in ((0.2 * like, "less than"), (like, "like"), (5 * like, "more than")):
            for paired in (True, False) if points == 200 or shift == like else (True,):
                name = f"shares, {points} points, seeds vary {much} points"
                draw = partial(shares, points=points, shift=shift, common=0.7 if paired else 0.0, step=step)
                yield Scenario(name, draw, paired, points, True)
    yield Scenario("normalized transfer, 500 points", partial(ratios, points=500, step=0.05), True, 500)
    yield Scenario("mean over a grid, 500 points", partial(grid, points=500, step=0.03), True, 500, True)
    words = {
        "alike": "variances alike",
        "10": "variances between 1 and 10",
        "100": "variances between 1 and 100",
        "one": "one variance 10 times the others",
        "three": "three variances 10 times the others",
        "tails": "t5 tails",
    }
    for spread, said in words.items():
        for paired in (True, False):
            draw = partial(logs, spread=spread, common=0.5 if paired else 0.0, step=0.5)
            yield Scenario(f"log distances, {said}", draw, paired)


SCENARIOS = tuple(_scenarios())


def stacked(values: np.ndarray, each: np.ndarray | None, *, paired: bool, share: bool) -> Compared:
    """`compared` of several boards at once, whose entries have all seeds in common or none, and all points."""
    seeds, (i, j) = values.shape[-1], PAIRS
    if paired:
        by_seed = np.var(values[:, i] - values[:, j], axis=-1, ddof=1) / seeds
        freedom = np.full(by_seed.shape, seeds - 1.0)
    else:
        own = np.var(values, axis=-1, ddof=1) / seeds
        by_seed = own[:, i] + own[:, j]
        inverse = own[:, i] ** 2 + own[:, j] ** 2
        freedom = (seeds - 1.0) * np.divide(by_seed**2, inverse, out=np.ones(by_seed.shape), where=inverse > 0)
    mean = values.mean(axis=-1)
    more = np.zeros(by_seed.shape)
    if each is not None:
        points = each.shape[-1]
        of_mean = each.mean(axis=2)
        mean_products = _products(of_mean) / points**2
        flat = each.reshape(*each.shape[:2], -1)
        rest = (_products(flat) / points**2 / seeds - mean_products) / (seeds - 1)
        both = _of_difference(rest) if paired else rest[:, i, i] + rest[:, j, j]
        more = np.maximum(0.0, _of_difference(mean_products) - both)
        more += share * 1.0 / seeds / points**2
    return Compared(mean[:, i] - mean[:, j], by_seed, freedom, more, np.full(by_seed.shape, 2 / seeds))


def _products(x: np.ndarray) -> np.ndarray:
    return (x @ x.swapaxes(-1, -2)).astype(float)


def _of_difference(products: np.ndarray) -> np.ndarray:
    i, j = PAIRS
    return products[:, i, i] + products[:, j, j] - 2 * products[:, i, j]


def alone(found: Compared) -> tuple[np.ndarray, np.ndarray]:
    return found.by_seed, found.freedom


METHODS: dict[str, Callable[[Compared], tuple[np.ndarray, np.ndarray]]] = {
    "ranking": moderated,
    "alone": alone,
    "unlimited": partial(moderated, most=np.inf),
}


def simulate(scenario: Scenario, seeds: int, boards: int) -> dict[str, Found]:
    """What each method finds on `boards` boards under each null; the same boards for all methods."""
    errors: dict[str, dict[str, float]] = {}
    power: dict[str, float] = {}
    for place, (null, steps) in enumerate(NULLS.items()):
        rng = np.random.Generator(np.random.SFC64([seeds, place]))  # the quickest
        same = steps[PAIRS[0]] == steps[PAIRS[1]]
        for name, told in _told(scenario, rng, seeds, boards, steps):
            errors.setdefault(name, {})[null] = float(np.mean(np.any(told[:, same], axis=1)))
            if null == "groups":
                power[name] = float(np.mean(told[:, ~same]))
    return {name: Found(errors[name], power[name]) for name in errors}


def _told(
    scenario: Scenario, rng: np.random.Generator, seeds: int, boards: int, steps: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Of each method, which pairs of each board it tells apart."""
    size = max(1, _CHUNK // (ENTRIES * seeds * scenario.points))
    paired, unpaired = [], []
    for first, last in pairwise([*range(0, boards, size), boards]):
        values, each = scenario.draw(rng, last - first, seeds, steps)
        paired.append(stacked(values, each, paired=scenario.paired, share=scenario.share))
        if scenario.paired:
            unpaired.append(stacked(values, each, paired=False, share=scenario.share))
    found = _joined(paired)
    for name, method in METHODS.items():
        yield name, holm(p_values(found, *method(found))) < ALPHA
    if unpaired:
        found = _joined(unpaired)
        yield "unpaired", holm(p_values(found, *moderated(found))) < ALPHA


def _joined(parts: list[Compared]) -> Compared:
    return Compared(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Compared)))


def shared_in_part(boards: int, seeds: int = 10, both: int = 5) -> dict[str, Found]:
    """Boards on which every other pair of entries shares half of its seeds; by `compared`, one board at a time.

    `dropped`: seeds that only one of the two has do not count.
    """
    errors: dict[str, dict[str, float]] = {"ranking": {}, "dropped": {}}
    power: dict[str, float] = {}
    for place, null in enumerate(("equal", "groups")):
        rng, steps = np.random.default_rng([77, place]), NULLS[null]
        told = {"ranking": [], "dropped": []}
        for _ in range(boards):
            common = 0.7**0.5 * rng.standard_normal(seeds + both)
            which = [both * (i % 2) + np.arange(seeds) for i in range(ENTRIES)]
            values = [
                common[w] + 0.3**0.5 * rng.standard_normal(seeds) + 0.8 * step
                for w, step in zip(which, steps, strict=True)
            ]
            found = compared(
                [Scores(value, tuple(w.tolist()), None) for value, w in zip(values, which, strict=True)], share=False
            )
            told["ranking"].append(holm(p_values(found, *moderated(found))) < ALPHA)
            few = _dropped(values, which)
            told["dropped"].append(holm(p_values(few, *moderated(few))) < ALPHA)
        same = steps[PAIRS[0]] == steps[PAIRS[1]]
        for name, parts in told.items():
            errors[name][null] = float(np.mean(np.any(np.array(parts)[:, same], axis=1)))
            power[name] = float(np.mean(np.array(parts)[:, ~same])) if null == "groups" else 0.0
    return {name: Found(errors[name], power[name]) for name in errors}


def _dropped(values: list[np.ndarray], which: list[np.ndarray]) -> Compared:
    rows = []
    for i, j in zip(*PAIRS, strict=True):
        _, a, b = np.intersect1d(which[i], which[j], return_indices=True)
        gap = values[i][a] - values[j][b]
        rows.append((gap.mean(), gap.var(ddof=1) / len(gap), len(gap) - 1.0, 0.0, 2 / len(gap)))
    return Compared(*np.array(rows).T)


def table(rows: list[tuple[Scenario, int, dict[str, Found]]], boards: int) -> str:
    """Markdown: errors under the nulls and power, of `ranking` and of what it could have been."""
    error = (ALPHA * (1 - ALPHA) / boards) ** 0.5
    lines = [
        f"{boards} boards a row and null; a share of .05 has a standard error of {error:.4f}.",
        "",
        "| boards | seeds | errors: equal | groups | one | told | alone: errors, told | unlimited | unpaired |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for scenario, seeds, found in rows:
        others = [
            f"{max(found[name].errors.values()):.3f}, {found[name].power:.2f}" if name in found else ""
            for name in ("alone", "unlimited", "unpaired")
        ]
        mine = found["ranking"]
        shared = "shared seeds" if scenario.paired else "own seeds"
        cells = [f"{scenario.name}; {shared}", str(seeds), *(f"{mine.errors[null]:.3f}" for null in NULLS)]
        lines.append(f"| {' | '.join([*cells, f'{mine.power:.2f}', *others])} |")
    return "\n".join(lines)


def partly(boards: int) -> str:
    """What `shared_in_part` finds, as a sentence."""
    told = [
        f"{name}: errors {of.errors['equal']:.3f} (equal), {of.errors['groups']:.3f} (groups), told {of.power:.2f}"
        for name, of in shared_in_part(boards).items()
    ]
    return f"Ten seeds, of which half of the pairs share five, the others all, {boards} boards: {'; '.join(told)}."


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Family-wise error and power of boards, simulated.")
    parser.add_argument("--boards", type=int, default=2000, help="of each scenario, number of seeds and null")
    parser.add_argument("--tiny", action="store_true", help="20 boards of each, with 3 seeds")
    parser.add_argument("--write", type=Path, help="a page between whose marks the table belongs")
    options = parser.parse_args(arguments)
    boards = 20 if options.tiny else options.boards
    rows = []
    for scenario in SCENARIOS:
        for seeds in SEEDS[:1] if options.tiny else SEEDS:
            rows.append((scenario, seeds, simulate(scenario, seeds, boards)))
            print(table(rows[-1:], boards).splitlines()[-1], flush=True)
    text = f"{table(rows, boards)}\n\n{partly(min(boards, 500))}"
    print(text.splitlines()[-1])  # of seeds that are shared in part
    worst = max(max(found["ranking"].errors.values()) for _, _, found in rows)
    print(f"largest family-wise error: {worst:.4f}")
    if options.write:
        page = options.write.read_text()
        block = f"{_MARKS[0]}\n{text}\n{_MARKS[1]}"
        options.write.write_text(re.sub(f"{_MARKS[0]}.*{_MARKS[1]}", lambda _: block, page, flags=re.S))


if __name__ == "__main__":
    main()
