"""Costs of a model file, and where it runs: operators, times, memory, size."""
