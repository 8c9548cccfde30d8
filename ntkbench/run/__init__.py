"""Execute a plan: the only package that turns words into numbers."""
