"""Define what a spec can say: pydantic models, with one file for each section of the YAML.

`plan.read` validates documents against them; their docstrings are the reference `docs/spec.md` and the JSON Schema.

    plan = read("specs/quickstart.yaml")
    run_id(plan.runs[0].cell, seed=0)
"""
