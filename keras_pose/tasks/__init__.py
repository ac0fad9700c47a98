"""The way Keras users work: presets, and a task that takes photos.

`keras_pose.PoseTask` is in `pose_task`; `quality` chooses models for the command line.
"""

from keras_pose.tasks.pose_task import PoseTask

__all__ = ["PoseTask"]
