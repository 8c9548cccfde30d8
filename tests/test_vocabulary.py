import ast
from pathlib import Path

import pytest

from ntkbench import analyses
from ntkbench.errors import UsageError
from ntkbench.spec.extensions import known_metrics, metric
from ntkbench.vocabulary import checks


def test_each_metric_is_found_under_its_name():
    assert all(metric(name).name == name for name in known_metrics())
    assert set(known_metrics()) == {
        "accuracy",
        "majority_rate",
        "robust_accuracy",
        "gradient_norm",
        "transfer_rate",
        "normalized_transfer",
        "gradient_cosine",
        "sign_agreement",
        "validation_loss",
        "training_loss",
        "training_accuracy",
        "training_residual",
        "epochs_trained",
        "flow_time",
        "learned_features",
        "eigenspace_robustness",
        "k90",
        "best_truncation_robustness",
        "best_truncation",
        "best_time_robustness",
        "best_time",
        "best_ridge_robustness",
        "best_ridge",
        "useful_robust",
        "useful_non_robust",
        "spearman_eigenvalue_robustness",
        "spearman_usefulness_robustness",
        "eigenspace_overlap",
        "principal_angle",
        "feature_gradient_cosine",
        "spearman_usefulness_across",
        "spearman_robustness_across",
        "certified_accuracy",
        "certified_radius",
        "certified_gap",
        "certified_label_flips",
        "kernel_drift",
        "path_length",
        "lazy_onset",
        "top_mass",
        "participation_rank",
        "entropy_rank",
        "stable_rank",
        "label_alignment",
        "class_specialization",
        "weight_distance",
    }


def test_ranges_are_intervals_and_fractions_lie_in_the_unit_interval():
    for word in known_metrics().values():
        assert word.range[0] < word.range[1]
        assert word.unit != "fraction" or word.range == (0, 1)
        assert word.revision >= 1
        assert "\n" not in word.meaning


def test_an_unknown_metric_is_refused_with_a_suggestion():
    with pytest.raises(UsageError, match="'transferrate'; did you mean transfer_rate"):
        metric("transferrate")
    with pytest.raises(UsageError, match="no metric 'zzz'; `ntkbench list metrics` shows"):
        metric("zzz")


def test_every_check_of_an_analysis_has_a_meaning():
    """A code is the first argument of `Check`, or stands in a tuple of codes beside it."""
    found: set[str] = set()
    for path in (Path(analyses.__file__).parent).rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Check":
                found |= {str(each.value) for each in node.args[:1] if isinstance(each, ast.Constant)}
            if isinstance(node, ast.Assign) and [ast.unparse(each) for each in node.targets] == ["codes"]:
                found |= set(ast.literal_eval(node.value))
    assert len(found) > 10
    assert found == checks().keys()
