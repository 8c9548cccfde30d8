"""Read the rules of a leaderboard: its columns, what it freezes and what it bounds."""
