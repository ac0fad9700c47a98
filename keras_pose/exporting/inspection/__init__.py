"""What a model file costs and where it runs: operators, times, memory, size."""
