"""Pages and lists that the program writes about itself: the references in `docs`, `ntkbench list`, `ntkbench init`.

The commands of `cli/reference.py` call it; `ntkbench reference --check` fails if a committed page is out of date.

    listing("attacks")
"""
