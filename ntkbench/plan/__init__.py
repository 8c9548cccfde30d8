"""Work out what a spec asks for before anything is computed: runs, keys, shapes, mistakes, cost.

Every command that takes a spec calls `read.read`. Nothing here imports JAX or looks into a store.

    plan = read("specs/quickstart.yaml", overrides=["data.n_train=100"])
    [run.id for run in plan.runs]
"""
