"""The metrics: what a number in a record is called, in which unit, which way is better, what it means."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ntkbench.bench.suggest import did_you_mean
from ntkbench.errors import UsageError


@dataclass(frozen=True)
class Metric:
    """A quantity that runs measure. `revision` grows when its definition changes."""

    name: str
    unit: str
    higher_is_better: bool
    range: tuple[float, float]
    revision: int
    meaning: str


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("accuracy", "fraction", True, (0.0, 1.0), 1, "share of test points that are classified correctly"),
            Metric(
                "robust_accuracy",
                "fraction",
                True,
                (0.0, 1.0),
                1,
                "share of test points still correct under the attack",
            ),
            # Ranks attacks: the higher, the more of the network's mistakes the source foretells.
            Metric(
                "transfer_rate",
                "fraction",
                True,
                (0.0, 1.0),
                1,
                "share of the counted test points that the attack turns wrong on the target; "
                "target_correct counts those that the target had right",
            ),
            Metric(
                "normalized_transfer",
                "ratio",
                True,
                (-float("inf"), float("inf")),
                1,
                "transfer rate on the scale where random signs are 0 and the white-box attack is 1",
            ),
            Metric(
                "gradient_cosine",
                "cosine",
                True,
                (-1.0, 1.0),
                1,
                "mean cosine between the loss gradients of source and target",
            ),
            Metric(
                "sign_agreement",
                "fraction",
                True,
                (0.0, 1.0),
                1,
                "mean share of pixels where the loss gradients of source and target have one sign",
            ),
        )
    }
)


def metric(name: str) -> Metric:
    """The metric of that name; an unknown name is a UsageError with a suggestion."""
    if name in METRICS:
        return METRICS[name]
    raise UsageError(f"there is no metric {name!r}{did_you_mean(name, METRICS)}")
