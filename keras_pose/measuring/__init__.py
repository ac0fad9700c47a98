"""The one way from a model file and a data set to figures with their protocol."""

from keras_pose.measuring.settings import MeasureSettings
from keras_pose.measuring.split import Measured, Split
from keras_pose.measuring.tasks import measure, open_split, task_of

__all__ = ["MeasureSettings", "Measured", "Split", "measure", "open_split", "task_of"]
