"""From an image to its people. TensorFlow is needed for `.keras` files only."""

from keras_pose.inference.estimator import PoseEstimator

__all__ = ["PoseEstimator"]
