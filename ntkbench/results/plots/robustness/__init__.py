"""Draw how accurate a predictor stays against what an attacker may do: accuracies under attack and certified ones.

`plots/plot.py` calls one function for each kind of analysis, such as `accuracy.pictures(study, budgets)`.
"""
