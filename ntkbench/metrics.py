"""The vocabulary of metrics: name, unit, range, direction and meaning of every number that a record may hold.

Analyses name their numbers by it; tables, leaderboards and `ntkbench list metrics` read it. The formulas stand
below it.

    METRICS["kernel_drift"].unit    # "distance"
    metric("kernel_drfit")          # UsageError: ... did you mean kernel_drift?
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Metric:
    """A quantity that runs measure."""

    name: str
    """as records, specs and columns call it"""
    unit: str
    """decides how numbers are rounded, and the tolerance of leaderboards"""
    higher_is_better: bool
    """which way tables and leaderboards point"""
    range: tuple[float, float]
    """least and largest possible value"""
    revision: int
    """grows when the definition changes, so that old and new numbers are never compared unseen"""
    meaning: str
    """one sentence for people, without its full stop"""


_COUNT = (0.0, float("inf"))
"""range of numbers that are not negative"""

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
            # Transfer of attacks from a source to a target, such as from a kernel to a network (Tsilivis & Kempe 2022).
            # The rate ranks attacks: the higher, the more of the target's mistakes the source foretells.
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
            # How far a network was trained. Flow time makes networks and kernels comparable: gradient descent on a mean
            # loss moves as far in a step as gradient flow on the summed loss does in (learning rate) / n.
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
            # Eigenfeatures of a kernel, f^(i)(x) = Theta(x, X) v_i v_i^T Y / lambda_i (Tsilivis & Kempe 2022, eqs. 3
            # and 4): accuracies, unlike the correlations of Ilyas et al. 2019. `eigenspace_robustness` was the robust
            # accuracy at k90 in revision 1, which varies more between training subsets than between kernels.
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
            # What a kernel could reach with the best filter of its spectrum: the first k features, early stopping, a
            # ridge. The choice and the number use different halves of the test points, so that choosing gains nothing.
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
            # Useful features beat the majority rate in a one-sided binomial test at 5 %, corrected by Holm's method.
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
            # Agreement of two kernels on the same training examples. Single eigenvectors are arbitrary where
            # eigenvalues are nearly equal, so that spaces are compared first.
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
            # Movement of a network's kernel during training (Fort et al. 2020), always on the same probe examples. To
            # move is no merit and no fault: lower is called better because the theory of a fixed kernel then holds.
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
            # The shape of one kernel's spectrum, and its alignment with the labels (Baratin et al. 2021).
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
"""all metrics by their names, in the order of the reference page"""
