"""Tell how far a plan is, read from its store: the commands `plan`, `status` and `explain`.

print(status(plan, store))      # 12 runs: 5 ok, 2 running, 5 not begun; ends in about 4 min
"""
