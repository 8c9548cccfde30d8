"""Measure built objects: accuracy, transfer, eigen-features, drift, consistency, certificates.

`run/measure.py` calls one function for each kind of analysis with evaluators, attacks and kernels that are built
already, and gets a `Measurement`: scalars with their counts, series, outcomes of test points, checks.

    measurement = transfer(target, attack, ceiling=ceiling, floor=floor)
    measurement.scalars[0].metric, measurement.scalars[0].value

No module here opens a file or knows a spec.
"""
