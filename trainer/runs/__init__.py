"""Starts of runs, and runs that share a teacher and its soft targets."""
