"""`python -m ntkbench`: the command line."""

from ntkbench.cli.main import main

if __name__ == "__main__":
    main()
