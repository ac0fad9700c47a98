"""From an image or a video to its people. TensorFlow is needed for `.keras` files only.

`video` and its neighbours are imported by name: not every program reads videos.
"""

from keras_pose.inference.detectors import DetectionFile
from keras_pose.inference.estimator import PoseEstimator

__all__ = ["DetectionFile", "PoseEstimator"]
