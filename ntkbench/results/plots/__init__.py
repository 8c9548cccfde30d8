"""Pictures of what records hold, with one file for each kind of analysis.

`plot.plot` finds the analyses of a spec that have pictures, draws and saves them, each with its caption; the report of
a spec embeds them as SVG.

    plot([results_of_plan(plan, store)], store.records, Path("figures"), form="pdf")
"""
