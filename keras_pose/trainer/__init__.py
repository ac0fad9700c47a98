"""Training: recipes, devices, schedules, checkpoints, and `fit` that joins them."""
