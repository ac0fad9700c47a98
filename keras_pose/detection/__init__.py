"""Training person detectors: labelled boxes, their augmentation, and the loss."""
