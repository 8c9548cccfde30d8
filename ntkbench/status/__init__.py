"""Tell how far a plan is, beside its store."""
