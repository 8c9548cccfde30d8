"""The command line `ntkbench`: one file for each group of commands.

Commands parse options, call one function of the package, print its text and turn errors into exit codes. `main.py`
imports a command when it is called, so that `validate` and `plan` start without JAX.

    main(["validate", "specs/quickstart.yaml"])
"""
