"""Operators, tensors and layers of model files, read without running them."""
