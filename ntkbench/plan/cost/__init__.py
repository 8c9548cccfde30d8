"""Time and memory of a plan, estimated by arithmetic from shapes and counts of operations.

`status` shows the estimates, and `run` compares them with the memory that there is.

    estimate(plan).seconds
"""
