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


_COUNT = (0.0, float("inf"))

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("accuracy", "fraction", True, (0.0, 1.0), 1, "share of test points that are classified correctly"),
            Metric(
                "majority_rate",
                "fraction",
                False,
                (0.0, 1.0),
                1,
                "share of test points of the largest class: the accuracy of always naming it",
            ),
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
            Metric("training_loss", "loss", False, _COUNT, 1, "mean loss of the trained network on its training set"),
            Metric(
                "training_accuracy", "fraction", True, (0.0, 1.0), 1, "share of training points classified correctly"
            ),
            Metric(
                "training_residual",
                "ratio",
                False,
                _COUNT,
                1,
                "squared distance of the trained network from its targets, over their squared norm",
            ),
            Metric("epochs_trained", "epochs", False, _COUNT, 1, "epochs of training in which the weights moved"),
            Metric(
                "flow_time",
                "time",
                True,
                _COUNT,
                1,
                "time of gradient flow on the summed squared loss that the training corresponds to",
            ),
            Metric(
                "learned_features",
                "features",
                True,
                _COUNT,
                1,
                "eigenvalues of the network's kernel on the training set whose product with the flow time exceeds 1",
            ),
            Metric(
                "eigenspace_robustness",
                "fraction",
                True,
                (0.0, 1.0),
                2,
                "robust accuracy of the sum of the first k eigen-features, its mean over k = 1, 2, 5, 10, 20, 50, ...",
            ),
            Metric(
                "k90",
                "features",
                False,
                _COUNT,
                1,
                "least number of top eigen-features whose sum has 90 % of the whole predictor's clean accuracy",
            ),
            Metric(
                "best_truncation_robustness",
                "fraction",
                True,
                (0.0, 1.0),
                2,
                "robust accuracy of a sum of top eigen-features, the best one on half of the test points, on the other",
            ),
            Metric("best_truncation", "features", False, _COUNT, 2, "how many top eigen-features that sum has"),
            Metric(
                "best_time_robustness",
                "fraction",
                True,
                (0.0, 1.0),
                2,
                "robust accuracy along gradient flow, at the time that is best on half of the test points, on the "
                "other half",
            ),
            Metric("best_time", "time", False, _COUNT, 2, "the first of the attacked times that is so good"),
            Metric(
                "best_ridge_robustness",
                "fraction",
                True,
                (0.0, 1.0),
                2,
                "robust accuracy along the ridge, at the ridge that is best on half of the test points, on the other "
                "half",
            ),
            Metric("best_ridge", "eigenvalue", True, _COUNT, 2, "the first of the attacked ridges that is so good"),
            Metric(
                "useful_robust",
                "features",
                True,
                _COUNT,
                1,
                "eigen-features, of those tested, that beat chance clean and under an attack on themselves",
            ),
            Metric(
                "useful_non_robust",
                "features",
                False,
                _COUNT,
                1,
                "eigen-features, of those tested, that beat chance clean and not under an attack on themselves",
            ),
            Metric(
                "spearman_eigenvalue_robustness",
                "correlation",
                True,
                (-1.0, 1.0),
                2,
                "rank correlation of eigenvalue and robust accuracy over all tested eigen-features",
            ),
            Metric(
                "spearman_usefulness_robustness",
                "correlation",
                True,
                (-1.0, 1.0),
                2,
                "rank correlation of clean and robust accuracy over all tested eigen-features",
            ),
            Metric(
                "eigenspace_overlap",
                "fraction",
                True,
                (0.0, 1.0),
                1,
                "mean squared cosine of the principal angles between the top eigenspaces of two kernels",
            ),
            Metric(
                "principal_angle",
                "degree",
                False,
                (0.0, 90.0),
                1,
                "largest angle between the top eigenspaces of two kernels",
            ),
            Metric(
                "feature_gradient_cosine",
                "cosine",
                True,
                (0.0, 1.0),
                1,
                "mean |cosine| between the input gradients of the eigen-features of two kernels with the same index",
            ),
            Metric(
                "spearman_usefulness_across",
                "correlation",
                True,
                (-1.0, 1.0),
                1,
                "rank correlation of the clean accuracies of the eigen-features of two kernels",
            ),
            Metric(
                "spearman_robustness_across",
                "correlation",
                True,
                (-1.0, 1.0),
                1,
                "rank correlation of the robust accuracies of the eigen-features of two kernels",
            ),
            # To move is no merit and no fault. Lower is called better where it means that the theory of a fixed kernel
            # holds for the network.
            Metric(
                "kernel_drift",
                "distance",
                False,
                (0.0, 2.0),
                1,
                "1 - cosine of the kernels at init and at the end of training, on a fixed probe",
            ),
            Metric(
                "path_length", "distance", False, _COUNT, 1, "sum of the distances of a kernel's successive snapshots"
            ),
            Metric(
                "lazy_onset",
                "epochs",
                False,
                _COUNT,
                2,
                "the first snapshot after which the kernel never moves as fast as a tenth of its largest velocity",
            ),
            Metric(
                "top_mass",
                "fraction",
                True,
                (0.0, 1.0),
                1,
                "share of the largest eigenvalues in the sum of all squared eigenvalues of a kernel",
            ),
            Metric(
                "participation_rank", "directions", False, _COUNT, 1, "squared trace of a kernel over its squared norm"
            ),
            Metric(
                "entropy_rank", "directions", False, _COUNT, 1, "exponential of the entropy of a kernel's eigenvalues"
            ),
            Metric("stable_rank", "directions", False, _COUNT, 1, "trace of a kernel over its largest eigenvalue"),
            Metric(
                "label_alignment",
                "cosine",
                True,
                (-1.0, 1.0),
                1,
                "cosine of the centered kernel and that of the labels",
            ),
            Metric(
                "class_specialization",
                "ratio",
                True,
                (-float("inf"), float("inf")),
                1,
                "how much more than the others' the kernel of an output aligns with its own class; 1 is not at all",
            ),
            Metric(
                "weight_distance",
                "ratio",
                False,
                _COUNT,
                1,
                "distance of the trained weights from those at init, over the norm of these",
            ),
        )
    }
)


def bounds(name: str) -> tuple[float, float]:
    """The range of the metric of that name; everything for a name that is no metric's."""
    return METRICS[name].range if name in METRICS else (-float("inf"), float("inf"))


def metric(name: str) -> Metric:
    """The metric of that name; an unknown name is a UsageError with a suggestion."""
    if name in METRICS:
        return METRICS[name]
    near = did_you_mean(name, METRICS) or "; `ntkbench list metrics` shows those there are"
    raise UsageError(f"there is no metric {name!r}{near}")
