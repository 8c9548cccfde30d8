"""Records as tables, data frames, exports, comparisons of runs and pages.

The commands `show`, `export`, `diff`, `report` and `plot` call it, and so does a notebook:

    from ntkbench.results import frame
    frame.records("runs", "specs/quickstart.yaml")     # a pandas.DataFrame with one row for each number
"""
