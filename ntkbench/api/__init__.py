"""Serve Python programs and notebooks: the names of `import ntkbench`, one noun a file."""
