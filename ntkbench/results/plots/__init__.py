"""Draw pictures of what records hold: one file a kind of analysis."""
