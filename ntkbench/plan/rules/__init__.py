"""Mistakes that no section of a spec can see by itself, one file for each section.

A rule is a function of a `Draft` that yields a located `Problem` for each mistake; `plan/check.py` lists the rules and
calls them on every cell.

    list(attacks.budgets(draft))      # [Problem("spec.yaml", 14, 20, "attacks.own.eps[0]", "9 is more than ...")]
"""
