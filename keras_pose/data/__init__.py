"""Data sets as lists of people, and the tf.data pipeline that trains on them."""

from keras_pose.data.datasets import PoseDataset, coco_ground_truth, open_dataset
from keras_pose.data.records import PersonRecord

__all__ = ["PersonRecord", "PoseDataset", "coco_ground_truth", "open_dataset"]
