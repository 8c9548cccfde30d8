"""Other processes that execute units of work: of this machine (`pool`), or of a Ray cluster (`cluster`).

Both implement `dispatch.Executor` and are driven by `dispatch.drive`, which hands out units, repeats those whose
process died, and collects what is reported.

    drive(executor, units, progress)
"""
