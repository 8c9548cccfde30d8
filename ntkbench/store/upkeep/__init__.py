"""Look after a store: its size, damage, garbage, and merges with others."""
