"""Read YAML text into drafts of cells, with every mistake at its place."""
