"""Execute units of work in other processes."""
