"""What a model file consists of, read without running it: operators, tensors, layers."""
