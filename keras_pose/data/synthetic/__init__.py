"""Synthetic people: drawn pictures with exact COCO-17 labels, no download needed."""

from keras_pose.data.synthetic.coco_writer import write_coco_dataset
from keras_pose.data.synthetic.drawn_scenes import DrawnScene, draw_scenes
from keras_pose.data.synthetic.scene import (
    SPLITS,
    SyntheticPerson,
    SyntheticScene,
    draw_scene,
    scene_seed,
)

__all__ = [
    "SPLITS",
    "DrawnScene",
    "SyntheticPerson",
    "SyntheticScene",
    "draw_scene",
    "draw_scenes",
    "scene_seed",
    "write_coco_dataset",
]
