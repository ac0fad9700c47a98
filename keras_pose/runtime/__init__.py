"""Running model files: one `predict` over all kinds of them, and the steps around it.

What a file does not need is not imported: a `.tflite` runs where TensorFlow is not
installed, a `.keras` file where ONNX Runtime is not.
"""

from keras_pose.runtime.loading import FILE_TYPES, load_model
from keras_pose.runtime.pose_model import PoseModel

__all__ = ["FILE_TYPES", "PoseModel", "load_model"]
