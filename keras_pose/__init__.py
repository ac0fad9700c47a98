"""keras_pose: a Keras model zoo for 2D human pose that ends on a phone.

Names load on first use, so that what needs NumPy only (running a `.tflite` or
`.onnx` file) starts without TensorFlow.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "COCO_17": "keras_pose.skeleton",
    "MPII_16": "keras_pose.skeleton",
    "Poses": "keras_pose.pictures.structures",
    "PoseEstimator": "keras_pose.inference",
    "PoseTask": "keras_pose.tasks",
    "Skeleton": "keras_pose.skeleton",
    "SpeedAdvice": "keras_pose.runtime.integer_speed",
    "ZOO": "keras_pose.zoo",
    "create_model": "keras_pose.weights.creation",
    "draw_poses": "keras_pose.pictures.drawing",
    "list_models": "keras_pose.zoo",
    "read_image": "keras_pose.pictures.images",
}

__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__():
    return sorted([*globals(), *__all__])
