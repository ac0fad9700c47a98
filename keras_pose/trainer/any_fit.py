"""`fit_any`: trains by a recipe of any kind."""

from __future__ import annotations

from pathlib import Path

from keras_pose.trainer.bottom_up_fit import fit_bottom_up
from keras_pose.trainer.bottom_up_recipes import BottomUpRecipe
from keras_pose.trainer.cluster import Cluster
from keras_pose.trainer.detection_fit import fit_detector
from keras_pose.trainer.detection_recipes import DetectionRecipe
from keras_pose.trainer.fit import SAVE_MINUTES, fit
from keras_pose.trainer.run_dirs import AnyRecipe


def fit_any(
    recipe: AnyRecipe,
    run_dir,
    devices: str = "auto",
    save_minutes: float = SAVE_MINUTES,
    cluster: Cluster | None = None,
    data_services: tuple[str, ...] = (),
) -> Path:
    """Trains a pose model, a bottom-up one or a detector; arguments as those of `fit`.

    Raises:
        ValueError: for several workers, or servers of data, where a detector is trained.
    """
    if isinstance(recipe, DetectionRecipe):
        if cluster or data_services:
            raise ValueError(
                "Several workers, and data services, train networks that find keypoints; "
                f"{recipe.model} finds people: train it in one process, on all its GPUs."
            )
        return fit_detector(recipe, run_dir, devices, save_minutes=save_minutes)
    if isinstance(recipe, BottomUpRecipe):
        return fit_bottom_up(recipe, run_dir, devices, save_minutes, cluster, data_services)
    return fit(
        recipe,
        run_dir,
        devices,
        save_minutes=save_minutes,
        cluster=cluster,
        data_services=data_services,
    )
