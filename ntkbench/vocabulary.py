"""The words that all packages share: reserved names, the grid of truncations, formulas, look-ups of metrics."""

from collections.abc import Mapping
from types import MappingProxyType

from ntkbench.errors import UsageError
from ntkbench.metrics import METRICS, Metric
from ntkbench.text import did_you_mean

# Reserved ids: records use them for results of their own, so that no attack or kernel of a spec may have them.


WORST = "worst"
"""in the place of an attack's id: the worst case over all attacks for each test point"""
LINEAR = "linear"
"""in the place of a kernel's id: the linear kernel <x, x'>, the control of every comparison of kernels"""


# Define the grid of truncations on which every kernel is judged, whatever other truncations a spec asks for.


def grid(size: int) -> tuple[int, ...]:
    """Return the numbers of features 1, 2, 5, 10, 20, 50, ... up to `size`, the number of all features."""
    steps = (digit * 10**power for power in range(len(str(size))) for digit in (1, 2, 5))
    return tuple(k for k in steps if k <= size)


# The formulas of the metrics, in LaTeX, and their notation, which the reference page docs/metrics.md shows.


NOTATION = r"""
- $S$ is the source of an attack and $T$ its target; $x$ are the $N$ test points and $y$ their labels.
- $A_S(x)$ is what the attack made of $x$, and $L$ the loss that it ascends.
- $[\cdot]$ is 1 where a statement holds, and 0 elsewhere.
- $\Theta = V\, \mathrm{diag}(\lambda)\, V^\top$ is the kernel on the training examples $X$ with targets $Y$.
- $\lambda_1 \ge \lambda_2 \ge \dots$, so that index 0 of a list is the *largest* eigenvalue.
- $f^{(i)}(x) = \lambda_i^{-1}\, \Theta(x, X)\, v_i v_i^\top Y$ is feature $i$.
- $\rho(f)$ is the accuracy of a predictor.
- $\gamma(f)$ is its accuracy under the attack on itself, an upper bound of the true robust accuracy.
- $K_0, \dots, K_T$ are the kernels of a network on the probe along training.
- $\langle K, K' \rangle = \sum_{ij} K_{ij} K'_{ij}$ and $D(K, K') = 1 - \langle K, K' \rangle / (\|K\| \|K'\|)$.
""".strip()
"""symbols that the formulas share, as a Markdown list"""

FORMULAS: Mapping[str, str] = MappingProxyType(
    {
        "accuracy": r"\frac{1}{N} \sum_x [T(x) = y]",
        "majority_rate": r"\frac{1}{N} \max_c \sum_x [y = c]",
        "robust_accuracy": r"\frac{1}{N} \sum_x [T(A_S(x)) = y]; \quad "
        r"\text{of several attacks (worst): } \frac{1}{N} \sum_x \prod_A [T(A(x)) = y]",
        "transfer_rate": r"\frac{\#\{x \in C : T(x) = y,\ T(A_S(x)) \ne y\}}{\# C}, \quad C = "
        r"\{T(x) = y\} \text{ (target\_correct)},\ \text{all},\ "
        r"\{S(x) = y,\ S(A_S(x)) \ne y\} \text{ (source\_fooled)}",
        "normalized_transfer": r"\frac{TR(A_S) - TR(\text{floor})}{TR(\text{ceiling}) - TR(\text{floor})}",
        "gradient_cosine": r"\frac{1}{N} \sum_x \cos(\nabla_x L_S(x), \nabla_x L_T(x))",
        "sign_agreement": r"\frac{1}{N} \sum_x \frac{1}{d} \sum_{j \le d} "
        r"[\mathrm{sign}\, \partial_j L_S(x) = \mathrm{sign}\, \partial_j L_T(x)]",
        "training_loss": r"\frac{1}{n} \sum_{(x, y) \in (X, Y)} \ell(T(x), y)",
        "training_accuracy": r"\frac{1}{n} \sum_{(x, y) \in (X, Y)} [T(x) = y]",
        "training_residual": r"\|T(X) - Y\|^2 / \|Y\|^2; \quad "
        r"\text{for cross-entropy with the probabilities in the place of } T(X)",
        "epochs_trained": r"\#\{\text{epochs before the loss is reached}\}",
        "flow_time": r"\frac{1}{n (1 - m)} \sum_{\text{steps } s} \eta_s, \quad "
        r"\eta_s \text{ the learning rate, } m \text{ the momentum}",
        "learned_features": r"\#\{i : \lambda_i\, t > 1\}, \quad t \text{ the flow time}",
        "eigenspace_robustness": r"\frac{1}{\# G} \sum_{k \in G} \gamma\Big(\sum_{i \le k} f^{(i)}\Big), \quad "
        r"G = \{1, 2, 5, 10, 20, 50, \dots\} \text{ up to the number of features}",
        "k90": r"\min \{k : \rho(\textstyle\sum_{i \le k} f^{(i)}) \ge 0.9\, \rho(\sum_i f^{(i)})\}",
        "best_truncation_robustness": r"\gamma_B(\textstyle\sum_{i \le k^*} f^{(i)}), \quad "
        r"k^* \text{ the best truncation}, \quad A, B \text{ the halves of the test points}",
        "best_truncation": r"k^* = \arg\max_k \gamma_A(\textstyle\sum_{i \le k} f^{(i)})",
        "best_time_robustness": r"\gamma_B(f_{t^*}), \quad t^* \text{ the best time}, \quad "
        r"f_t = \sum_i (1 - e^{-\lambda_i t}) f^{(i)}",
        "best_time": r"t^* = \arg\max_t \gamma_A(f_t)",
        "best_ridge_robustness": r"\gamma_B(f_{r^*}), \quad r^* \text{ the best ridge}, \quad "
        r"f_r = \sum_i \frac{\lambda_i}{\lambda_i + r} f^{(i)}",
        "best_ridge": r"r^* = \arg\max_r \gamma_A(f_r)",
        "useful_robust": r"\#\{i : \rho(f^{(i)}) > m \text{ and } \gamma(f^{(i)}) > m\}, \quad "
        r"m \text{ the share of the majority class}; "
        r"\text{one-sided binomial tests at 5 \%, corrected after Holm}",
        "useful_non_robust": r"\#\{i : \rho(f^{(i)}) > m \text{ and not } \gamma(f^{(i)}) > m\}",
        "spearman_eigenvalue_robustness": r"\text{Spearman}\,(\lambda_i, \gamma(f^{(i)})) \text{ over tested } i",
        "spearman_usefulness_robustness": r"\text{Spearman}\,(\rho(f^{(i)}), \gamma(f^{(i)})) \text{ over tested } i",
        "eigenspace_overlap": r"\frac{1}{k} \sum_{j \le k} \cos^2 \theta_j, \quad "
        r"\theta_j \text{ the principal angles of } \mathrm{span}(v_1 \dots v_k) \text{ and } "
        r"\mathrm{span}(v'_1 \dots v'_k)",
        "principal_angle": r"\max_j \theta_j",
        "feature_gradient_cosine": r"\text{mean over } i \text{ and } x \text{ of } "
        r"|\cos(\nabla_x f^{(i)}(x), \nabla_x f'^{(i)}(x))|",
        "spearman_usefulness_across": r"\text{Spearman}\,(\rho(f^{(i)}), \rho(f'^{(i)})) \text{ over matched } i",
        "spearman_robustness_across": r"\text{Spearman}\,(\gamma(f^{(i)}), \gamma(f'^{(i)})) \text{ over matched } i",
        "kernel_drift": r"D(K_0, K_T)",
        "path_length": r"\sum_t D(K_t, K_{t+1})",
        "lazy_onset": r"\min \{t : v_s < 0.1\, \max_r v_r \text{ for all } s \ge t\}, \quad "
        r"v_t = D(K_t, K_{t + \Delta t}) / \Delta t",
        "top_mass": r"\sum_{i \le k} \lambda_i^2 \Big/ \sum_i \lambda_i^2",
        "participation_rank": r"(\mathrm{tr}\, K)^2 / \|K\|^2",
        "entropy_rank": r"\exp\Big(-\sum_i p_i \log p_i\Big), \quad p_i = \lambda_i / \textstyle\sum_j \lambda_j",
        "stable_rank": r"\mathrm{tr}\, K / \lambda_1",
        "label_alignment": r"\frac{\langle K_c, Y_c Y_c^\top \rangle}{\|K_c\| \|Y_c Y_c^\top\|}, \quad "
        r"K_c, Y_c \text{ centered over the examples}",
        "class_specialization": r"\frac{1}{c} \sum_k \frac{A(K^k, y_k)}{\frac{1}{c} \sum_d A(K^d, y_k)}, \quad "
        r"A \text{ the label alignment, } K^k \text{ the block of output } k",
        "weight_distance": r"\|\theta_T - \theta_0\| / \|\theta_0\|",
    }
)
"""right-hand side of the definition of each metric, by its name

Features, their accuracy (usefulness) and their accuracy under attack follow Tsilivis & Kempe 2022, eqs. 3-4; `top_mass`
follows their scripts, `label_alignment` Baratin et al. 2021, and `class_specialization` Shan & Bordelon.
"""


def bounds(name: str) -> tuple[float, float]:
    """Return the least and largest value of a metric; everything for a name that is no metric's."""
    return METRICS[name].range if name in METRICS else (-float("inf"), float("inf"))


def metric(name: str) -> Metric:
    """Return the metric of a name; UsageError with a suggestion if there is none."""
    if name in METRICS:
        return METRICS[name]
    near = did_you_mean(name, METRICS) or "; `ntkbench list metrics` shows those there are"
    raise UsageError(f"there is no metric {name!r}{near}")
