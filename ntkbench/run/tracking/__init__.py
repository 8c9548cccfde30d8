"""Log finished runs with TensorBoard, Weights & Biases or MLflow.

`run_log` makes a `RunLog` of a record, which knows nothing of these tools. Each tool has one module, whose function
`opened` returns a function that writes one `RunLog`. `Tracked` passes it the runs of a plan as they end. `run --log`
uses it.
"""
