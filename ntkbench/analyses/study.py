"""A kernel taken apart: many predictors that are filters of one spectrum, judged on the test set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ntkbench.analyses.craft import Threat
from ntkbench.analyses.measurement import Check
from ntkbench.errors import NumericsError
from ntkbench.ntk import features
from ntkbench.ntk.features import Eigensystem, Family

SMALL_GAP = 1e-3
"""relative: a smaller distance to the next eigenvalue leaves the eigenvector to chance"""


@dataclass(frozen=True)
class Outcomes:
    """Of the members of a family at the test examples, each attacked through its own gradient."""

    clean: Bool[np.ndarray, "m n"]
    robust: Bool[np.ndarray, "m e n"]
    correlation: Float[np.ndarray, " m"]
    """mean margin over mean |margin|: the usefulness (Ilyas 2019) of a predictor scaled to unit size"""
    robust_correlation: Float[np.ndarray, "m e"]
    zero_gradients: Int[np.ndarray, " m"]
    not_finite: Int[np.ndarray, " m"]
    outside: Int[np.ndarray, " m"]
    """numbers of examples: whose gradient is zero, or not finite; that left the threat set"""

    @classmethod
    def joined(cls, parts: Sequence["Outcomes"]) -> "Outcomes":
        return cls(*(np.concatenate(arrays) for arrays in zip(*(vars(part).values() for part in parts), strict=True)))

    def split(self, counts: Sequence[int]) -> list["Outcomes"]:
        """The first so many members, the next, ..."""
        ends = np.cumsum(counts)[:-1]
        return [Outcomes(*arrays) for arrays in zip(*(np.split(v, ends) for v in vars(self).values()), strict=True)]

    def counts(self, name: str) -> dict[str, np.ndarray]:
        """Right answers of each member, clean and under each budget."""
        return {f"{name}_clean": self.clean.sum(axis=1), f"{name}_robust": self.robust.sum(axis=2).T}

    def checks(self, attack: str) -> tuple[Check, ...]:
        """What these numbers rest on; counts are of predictors times examples."""
        n = self.clean.size
        counts = {name: int(getattr(self, name).sum()) for name in ("outside", "zero_gradients", "not_finite")}
        codes = ("threat_set_respected", "gradients_not_zero", "gradients_finite")
        return tuple(
            Check(code, count == 0, {"attack": attack, name: count, "n": n})
            for code, (name, count) in zip(codes, counts.items(), strict=True)
        )


@dataclass(frozen=True)
class Study:
    """An eigensystem by the name of its kernel, the test examples, and the attack that is used on its parts."""

    name: str
    system: Eigensystem
    X: Float[Array, "n ..."]
    labels: Int[Array, " n"]
    threat: Threat | None
    key: PRNGKeyArray
    together: int
    """pairs of a predictor and an example that the memory takes at once"""
    tile_bytes: float
    tick: Callable[[str], None] = field(default=lambda what: None)

    @property
    def attack(self) -> Threat:
        if self.threat is None:
            raise ValueError(f"no attack on the parts of {self.name} was given")
        return self.threat

    @property
    def columns(self) -> list[str]:
        """Of the outcomes under each budget, as records name them."""
        return [f"{self.attack.id}@{eps}" for eps in self.attack.eps]

    @property
    def majority(self) -> int:
        """Test examples of the largest class."""
        return int(np.bincount(np.asarray(self.labels)).max())

    def place(self, **about: str) -> dict[str, str]:
        """What a clean number is about."""
        return {"target": self.name, **about}

    def places(self, **about: str) -> list[dict[str, str]]:
        """What a number under each budget is about."""
        threat = self.attack
        return [
            {"target": self.name, "attack": threat.id, "source": threat.source, "eps": eps, **about}
            for eps in threat.eps
        ]

    @property
    def eigenvalues(self) -> np.ndarray:
        return np.asarray(self.system.spectrum.eigenvalues)

    @property
    def small_gaps(self) -> np.ndarray:
        """Whether each eigenvalue but the last is near to the next one."""
        values = self.eigenvalues
        return values[:-1] - values[1:] < SMALL_GAP * values[:-1]

    def flagged(self, indices: np.ndarray) -> np.ndarray:
        """Whether features are arbitrary because of a neighbor's eigenvalue."""
        gaps = self.small_gaps
        return np.append(gaps, False)[indices] | np.insert(gaps, 0, False)[indices]

    def gaps(self, indices: np.ndarray) -> Check:
        """That features are what they are called."""
        small = int(self.flagged(indices).sum())
        return Check(
            "eigenvalues_apart", small == 0, {"target": self.name, "small_gaps": small, "features": len(indices)}
        )

    def family(self, indices: np.ndarray) -> Family:
        """Single features."""
        return features.family(self.system, self.spans(singles(indices)))

    def right(self, indices: np.ndarray) -> Bool[np.ndarray, "m n"]:
        """Whether single features are right at each example."""
        return np.asarray(features.correct(self.family(indices), self.X, self.labels))

    def spans(self, ranges: np.ndarray) -> features.Filters:
        """Filters that sum the features of each range."""
        return features.spans(self.system.spectrum.eigenvalues, ranges)

    def truncated(self) -> Bool[np.ndarray, "n k"]:
        """Whether the sum of the first k features is right at each example, for all k."""
        size = self.eigenvalues.size
        outputs = self.system.targets.shape[1] * size // len(self.system.X)
        rows = max(1, int(self.tile_bytes / (64 * size * outputs)))
        blocks = np.array_split(np.arange(len(self.X)), -(-len(self.X) // rows))
        found = []
        for block in blocks:
            self.tick(f"all truncations, test points from {block[0]} on")
            found.append(np.asarray(self._truncated(block)))
        return np.concatenate(found)

    def _truncated(self, block):
        return features.truncations(self.system, self.X[block], self.labels[block], tile_bytes=self.tile_bytes)

    def outcomes(
        self, parameters: np.ndarray, filters: Callable[[np.ndarray], features.Filters] | None = None
    ) -> Outcomes:
        """Of one predictor for each parameter: for each range of features, unless other `filters` are given."""
        whole = len(parameters)
        chunks = -(-whole // min(whole, self.together))
        size = -(-whole // chunks)  # equal, so that one compilation serves all
        parts = []
        for start in range(0, whole, size):
            self.tick(f"features of {self.name}, {start} of {whole}")
            chunk = parameters[start : start + size]
            padded = np.concatenate([chunk, np.repeat(chunk[-1:], size - len(chunk), axis=0)])
            parts.append(self._judged((filters or self.spans)(padded), len(chunk)))
        return Outcomes.joined(parts)

    def _judged(self, filters: features.Filters, count: int) -> Outcomes:
        threat = self.attack
        assert threat.objective is not None
        batches = -(-len(self.X) // max(1, self.together // len(filters)))
        found = features.outcome(
            features.family(self.system, filters),
            threat.attack,
            threat.objective,
            self.X,
            self.labels,
            jnp.array(threat.radii, self.X.dtype),
            key=self.key,
            batch_size=-(-len(self.X) // batches),
        )
        found = jax.tree.map(lambda leaf: np.array(leaf[:count]), found)
        if not np.all(np.isfinite(found.margin)):
            raise NumericsError(
                f"filters of {self.name} have outputs that are not finite: eigenvalues are too small to be inverted; "
                "try a larger W_std, or float64 (numerics.kernel)"
            )
        unit = np.mean(np.abs(found.margin), axis=1)
        unit[unit == 0] = 1
        return Outcomes(
            found.clean,
            found.robust,
            np.mean(found.margin, axis=1) / unit,
            np.mean(found.robust_margin, axis=2) / unit[:, None],
            *(flags.sum(axis=1) for flags in (found.zero_gradient, found.not_finite, found.outside)),
        )


def singles(indices: np.ndarray) -> Int[np.ndarray, "m 2"]:
    """Single features as ranges."""
    return np.stack([indices, indices + 1], axis=1)
