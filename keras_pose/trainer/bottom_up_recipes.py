"""Recipes of bottom-up networks: everything that decides what a training run computes.

They share the rules of `trainer.recipes` and little else: such a network sees whole
pictures, and has one codec and one loss.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from keras_pose.data.crowd_pipeline import CrowdAugmentation
from keras_pose.trainer.run_recipe import SCHEDULES, RunRecipe, check_choice
from keras_pose.zoo import get_spec

# Ours: from an ImageNet trunk, for small sets in which people come in every size.
LITE_SETTINGS: dict[str, Any] = {
    "epochs": 60,
    "batch_size": 16,
    "learning_rate": 1e-3,
    "schedule": "cosine",
    "warmup_steps": 200,
    "weight_decay": 0.05,
    "ema_momentum": 0.998,
    "augmentation": CrowdAugmentation(
        min_zoom=0.35, max_zoom=1.5, rotation_degrees=25.0, color=0.2
    ),
}


@dataclass(frozen=True)
class BottomUpRecipe(RunRecipe):
    """Settings to train one bottom-up network on one data set, with Adam and steps.

    The defaults are lightweight OpenPose's (`train.py`): 280 epochs of batches of 80 at
    4e-5, a third of it after 100, 200 and 260. Its weight decay is decoupled here, and all
    layers learn at one rate, where it gives the last layers up to four times as much.

    Attributes:
        model: zoo name, of a bottom-up network.
        dataset: "coco" or "synthetic".
        data_dir: its folder; None for people drawn when the run starts.
        category: name or id of the category to read, as in `recipes.Recipe`.
        rescale_labels: True to scale labels to pictures of another size.
        input_hw: model input (height, width), pixels.
        epochs: passes over the pictures.
        batch_size: pictures per replica and step.
        learning_rate: highest learning rate, for the whole batch.
        schedule: "step" (a third at each of `milestones`) or "cosine" (down to 0).
        milestones: shares of the run at which the schedule "step" lowers the rate.
        warmup_steps: steps of linear growth from 0.1 % of the rate.
        weight_decay: weight decay of all kernels.
        ema_momentum: momentum of the moving average of the weights, which is what is
            measured and saved; 0 for none.
        augmentation: strength of the random changes.
        weights: word or file of the weights to start from, see `create_model`; None for
            random. Those of OpenPose's 18 keypoints are trained on with them, others have
            COCO's 17.
        mixed_precision: type to compute in, as in `recipes.Recipe`.
        accumulate: number of steps whose gradients are averaged, as in `recipes.Recipe`.
        synthetic_images: scenes to draw, where people are drawn.
        max_steps: stop after so many steps in all; 0 for no limit.
        ap_every: epochs between measurements of AP on `val`, and so between choices of the
            best weights; the last epoch is always measured.
        quantization_aware: True to round weights and tensors to int8 while training, as in
            `recipes.Recipe`.
        seed: seed of initial weights, order and augmentation.
    """

    AUGMENTATION: ClassVar[type] = CrowdAugmentation
    POSITIVE: ClassVar[tuple[str, ...]] = ("ap_every",)

    model: str
    dataset: str = "coco"
    data_dir: str | None = None
    category: str | None = None
    rescale_labels: bool = False
    input_hw: tuple[int, int] = (368, 368)
    epochs: int = 280
    batch_size: int = 80
    learning_rate: float = 4e-5
    schedule: str = "step"
    milestones: tuple[float, ...] = (100 / 280, 200 / 280, 260 / 280)
    warmup_steps: int = 0
    weight_decay: float = 5e-4
    ema_momentum: float = 0.0
    augmentation: CrowdAugmentation = field(default_factory=CrowdAugmentation)
    weights: str | None = None
    mixed_precision: bool | str = False
    accumulate: int = 1
    synthetic_images: int = 1000
    max_steps: int = 0
    ap_every: int = 5
    quantization_aware: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if get_spec(self.model).task != "bottom_up":
            raise ValueError(
                f"{self.model} is no bottom-up network: see trainer.recipes.get_recipe."
            )
        check_choice("schedule", self.schedule, SCHEDULES)
        self.check_shared()
        if sorted(self.milestones) != list(self.milestones):
            raise ValueError(f"milestones must rise, got {self.milestones}.")


def get_bottom_up_recipe(model: str, dataset: str = "coco") -> BottomUpRecipe:
    """Returns the recipe of a bottom-up network of the zoo for a data set.

    Raises:
        ValueError: for an unknown model, with the near names, or one of another task.
    """
    spec = get_spec(model)
    if spec.family != "openpose_lite":
        return BottomUpRecipe(model, dataset)
    return BottomUpRecipe(model, dataset, input_hw=spec.input_hw, **LITE_SETTINGS)
