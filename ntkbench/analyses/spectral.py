"""Judge many predictors that are spectral filters of one kernel, clean and under attack, on the test set.

    outcomes = study.outcomes(singles(indices))     # each feature attacked through its own gradient

The analyses `eigenspace`, `time` and `consistency` build on it. A filter g gives f_g(x) = Theta(x, X) V diag(g) V^T Y;
single features, sums of features, early stopping and ridges are all filters (`ntk.features`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ntkbench.analyses.crafting import BudgetedAttack
from ntkbench.analyses.measurement import Check
from ntkbench.errors import NumericsError
from ntkbench.ntk import features
from ntkbench.ntk.features import Eigensystem, Family

SMALL_GAP = 1e-3
"""relative gap to the next eigenvalue below which an eigenvector is arbitrary: noise may rotate it into the next one"""


@dataclass(frozen=True)
class Outcomes:
    """The outcomes of m predictors on n test examples, each attacked through its own gradient at e budgets."""

    clean: Bool[np.ndarray, "m n"]
    """whether each predictor is right on each clean example"""
    robust: Bool[np.ndarray, "m e n"]
    """whether it is right on each adversarial example"""
    correlation: Float[np.ndarray, " m"]
    """mean margin over mean |margin|: the usefulness (Ilyas 2019) of a predictor scaled to unit size"""
    robust_correlation: Float[np.ndarray, "m e"]
    """mean margin under attack over the mean |margin| of clean examples"""
    zero_gradients: Int[np.ndarray, " m"]
    """number of clean examples with a zero gradient, which fakes robustness"""
    not_finite: Int[np.ndarray, " m"]
    """number of clean examples whose gradient is not finite"""
    outside: Int[np.ndarray, " m"]
    """number of examples that an attack moved out of the threat set"""

    @classmethod
    def joined(cls, parts: Sequence["Outcomes"]) -> "Outcomes":
        """Concatenate outcomes of different predictors on the same examples."""
        return cls(*(np.concatenate(arrays) for arrays in zip(*(vars(part).values() for part in parts), strict=True)))

    def split(self, counts: Sequence[int]) -> list["Outcomes"]:
        """Return the outcomes of the first `counts[0]` predictors, of the next `counts[1]`, and so on."""
        ends = np.cumsum(counts)[:-1]
        return [Outcomes(*arrays) for arrays in zip(*(np.split(v, ends) for v in vars(self).values()), strict=True)]

    def counts(self, name: str) -> dict[str, np.ndarray]:
        """Return the numbers of right answers as series `NAME_clean`, (m,), and `NAME_robust`, (e, m)."""
        return {f"{name}_clean": self.clean.sum(axis=1), f"{name}_robust": self.robust.sum(axis=2).T}

    def checks(self, attack: str) -> tuple[Check, ...]:
        """Return the checks of the threat set and of gradients; they count pairs of a predictor and an example."""
        n = self.clean.size
        counts = {name: int(getattr(self, name).sum()) for name in ("outside", "zero_gradients", "not_finite")}
        codes = ("threat_set_respected", "gradients_not_zero", "gradients_finite")
        return tuple(
            Check(code, count == 0, {"attack": attack, name: count, "n": n})
            for code, (name, count) in zip(codes, counts.items(), strict=True)
        )


@dataclass(frozen=True)
class SpectralStudy:
    """A decomposed kernel, the test examples in its precision, and the attack that is used on its filters."""

    name: str
    """id of the kernel"""
    system: Eigensystem
    X: Float[Array, "n ..."]
    labels: Int[Array, " n"]
    threat: BudgetedAttack | None
    """the attack; None: clean outcomes alone"""
    key: PRNGKeyArray
    """draws the random numbers of the attack"""
    together: int
    """number of pairs of a predictor and an example that fit into memory at once"""
    tile_bytes: float
    """bytes of memory for one tile of a kernel"""
    tick: Callable[[str], None] = field(default=lambda what: None)
    """is told what is going on"""

    @property
    def attack(self) -> BudgetedAttack:
        """The attack; ValueError where the study has none."""
        if self.threat is None:
            raise ValueError(f"no attack on the parts of {self.name} was given")
        return self.threat

    @property
    def majority(self) -> int:
        """The number of test examples of the most frequent class."""
        return int(np.bincount(np.asarray(self.labels)).max())

    def place(self, **about: str) -> dict[str, str]:
        """Return the labels (`where`) of a number on clean examples; `about` adds to them."""
        return {"target": self.name, **about}

    def places(self, **about: str) -> list[dict[str, str]]:
        """Return the labels (`where`) of a number at each budget of the attack; `about` adds to them."""
        threat = self.attack
        return [
            {"target": self.name, "attack": threat.id, "source": threat.source, "eps": budget.label, **about}
            for budget in threat.budgets
        ]

    @property
    def eigenvalues(self) -> np.ndarray:
        """The eigenvalues of the kernel on the training examples, the largest first."""
        return np.asarray(self.system.spectrum.eigenvalues)

    @property
    def small_gaps(self) -> np.ndarray:
        """Return whether the gap below each eigenvalue but the last is small, relative to that eigenvalue."""
        values = self.eigenvalues
        return values[:-1] - values[1:] < SMALL_GAP * values[:-1]

    def flagged(self, indices: np.ndarray) -> np.ndarray:
        """Return whether each of these features is arbitrary because the eigenvalue before or after it is too near."""
        gaps = self.small_gaps
        return np.append(gaps, False)[indices] | np.insert(gaps, 0, False)[indices]

    def gaps(self, indices: np.ndarray) -> Check:
        """Check that none of these features is arbitrary, see `flagged`."""
        small = int(self.flagged(indices).sum())
        return Check(
            "eigenvalues_apart", small == 0, {"target": self.name, "small_gaps": small, "features": len(indices)}
        )

    def family(self, indices: np.ndarray) -> Family:
        """Return the single features with these indices, as predictors."""
        return features.family(self.system, self.spans(singles(indices)))

    def correct(self, indices: np.ndarray) -> Bool[np.ndarray, "m n"]:
        """Return whether each of these single features is right on each clean example."""
        return np.asarray(features.correct(self.family(indices), self.X, self.labels))

    def spans(self, ranges: np.ndarray) -> features.Filters:
        """Return filters that sum the features of each range, a row (first index, index after the last)."""
        return features.spans(self.system.spectrum.eigenvalues, ranges)

    def truncated(self) -> Bool[np.ndarray, "n k"]:
        """Return whether the sum of the first k features is right on each clean example; column k - 1, for every k.

        Test points are taken in blocks whose arrays fit into `tile_bytes`.
        """
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
        """Attack one predictor for each entry of `parameters`, and return all outcomes in that order.

        Args:
            parameters: by default ranges of features, see `spans`; else what `filters` takes.
            filters: makes filters, a row each, from several parameters.

        Raises:
            NumericsError: if outputs of a predictor are not finite.
        """
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
        """Attack the predictors of some filters, and return the outcomes of the first `count`; the rest is padding."""
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
    """Return single features as ranges (index, index + 1), the form that `SpectralStudy.outcomes` takes."""
    return np.stack([indices, indices + 1], axis=1)
