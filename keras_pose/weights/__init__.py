"""Weights of the reference implementations, read without their frameworks.

`torch_reader` reads tensors out of files, `layouts` knows how checkpoints name them,
`importer` puts them into a model.
"""
