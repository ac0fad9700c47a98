"""The model zoo: one row per network, and the door through which they are made."""

from keras_pose.zoo.building import ZOO, build_model, get_spec, list_models
from keras_pose.zoo.rows.trunk_rows import TRUNK_MODEL
from keras_pose.zoo.spec import TASKS, ModelSpec

__all__ = [
    "TASKS",
    "TRUNK_MODEL",
    "ZOO",
    "ModelSpec",
    "build_model",
    "get_spec",
    "list_models",
]
