"""Make entries of records, and leaderboards of entries."""
