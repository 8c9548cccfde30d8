"""Estimate time and memory of a plan by arithmetic alone."""
