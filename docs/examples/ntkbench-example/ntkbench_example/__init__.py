"""What another package can add to ntkbench: an architecture, an attack, an analysis, a data set."""
