"""YAML text read into drafts of cells, with every mistake at its line and column.

`plan.read` calls it in this order: `parse` (YAML to nodes), `extends` (files merged), `matrix` (cells), `validate`
(models).

    parse("{width: 64}", "spec.yaml")
"""
