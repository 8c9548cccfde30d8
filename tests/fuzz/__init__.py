"""Hostile input: what every reader of foreign bytes promises, and a fuzzer that tries to break it."""
