"""The execution of a plan: the only package that turns the words of a spec into numbers.

`ntkbench run` calls `execute.execute`. A worker trains networks and measures runs, one record for each; `predictors`
and `shared` hold what is computed, `executors` start further processes.

    execute(plan, store, roots, options, progress)     # Counter({"ok": 12})
"""
