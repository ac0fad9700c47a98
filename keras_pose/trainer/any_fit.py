"""`fit_any`: trains by a recipe of any kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_pose.trainer.bottom_up_fit import fit_bottom_up
from keras_pose.trainer.bottom_up_recipes import BottomUpRecipe
from keras_pose.trainer.detection_fit import fit_detector
from keras_pose.trainer.detection_recipes import DetectionRecipe
from keras_pose.trainer.fit import fit
from keras_pose.trainer.run_dirs import AnyRecipe


def fit_any(recipe: AnyRecipe, run_dir, devices: str = "auto", **options: Any) -> Path:
    """Trains a pose model, a bottom-up one or a detector; arguments as those of `fit`."""
    if isinstance(recipe, DetectionRecipe):
        return fit_detector(recipe, run_dir, devices, **options)
    if isinstance(recipe, BottomUpRecipe):
        return fit_bottom_up(recipe, run_dir, devices, **options)
    return fit(recipe, run_dir, devices, **options)
