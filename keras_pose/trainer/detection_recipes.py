"""Recipes of detectors: everything that decides what a training run computes.

They share the rules of `trainer.recipes` and little else: a detector has neither codec
nor keypoints, and no choice of losses.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from keras_pose.detection.pipeline import BoxAugmentation
from keras_pose.trainer.recipes import check_fine_tuning, check_known, precision_policy
from keras_pose.zoo import get_spec


@dataclass(frozen=True)
class DetectionRecipe:
    """How to train one person detector on one data set, with AdamW and a cosine.

    Attributes:
        model: zoo name, of a detector.
        dataset: name, see `keras_pose.data.datasets`.
        data_dir: its folder; None for people drawn when the run starts.
        category: see `recipes.Recipe`.
        rescale_labels: see `recipes.Recipe`.
        input_hw: model input (height, width), pixels.
        epochs: passes over the data.
        batch_size: images per replica and step.
        learning_rate: at its highest, for the whole batch; falls to 0 along a cosine.
        warmup_steps: steps of linear growth from 0.1 % of the rate.
        weight_decay: of all kernels.
        ema_momentum: of the moving average of the weights, which is what is measured
            and saved: 0.998 looks back 500 steps. 0 for none.
        augmentation: how much images vary.
        weights: what the network starts from, see `create_model`; None for random.
        mixed_precision: see `recipes.Recipe`.
        freeze: see `recipes.Recipe`.
        accumulate: see `recipes.Recipe`.
        synthetic_images: scenes to draw, where people are drawn.
        max_steps: stop after so many steps in all; 0 for no limit.
        ap_every: epochs between measurements of box AP on `val`, and so between choices
            of the best weights; the last epoch is always measured.
        quantization_aware: see `recipes.Recipe`.
        seed: of initial weights, order and augmentation.
    """

    model: str
    dataset: str = "coco"
    data_dir: str | None = None
    category: str | None = None
    rescale_labels: bool = False
    input_hw: tuple[int, int] = (320, 320)
    epochs: int = 60
    batch_size: int = 16
    learning_rate: float = 2e-3
    warmup_steps: int = 300
    weight_decay: float = 0.05
    ema_momentum: float = 0.998
    augmentation: BoxAugmentation = field(default_factory=BoxAugmentation)
    weights: str | None = None
    mixed_precision: bool | str = False
    accumulate: int = 1
    freeze: tuple[str, ...] = ()
    synthetic_images: int = 1000
    max_steps: int = 0
    ap_every: int = 5
    quantization_aware: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if get_spec(self.model).task != "detection":
            raise ValueError(
                f"{self.model} is no detector: see trainer.recipes.get_recipe."
            )
        for name in (
            "epochs",
            "batch_size",
            "learning_rate",
            "synthetic_images",
            "ap_every",
            "accumulate",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}.")
        for name in ("max_steps", "warmup_steps", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}.")
        if not 0 <= self.ema_momentum < 1:
            raise ValueError(f"ema_momentum must be in [0, 1), got {self.ema_momentum}.")
        precision_policy(self.mixed_precision)
        check_fine_tuning(self.quantization_aware, self.weights)

    def override(self, **values: Any) -> DetectionRecipe:
        """Returns a copy with those values that are not None."""
        given = {name: value for name, value in values.items() if value is not None}
        check_known(DetectionRecipe, given)
        return dataclasses.replace(self, **given)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DetectionRecipe:
        """Reads what `to_dict` wrote.

        Raises:
            ValueError: for unknown keys or values that do not fit.
        """
        check_known(cls, values)
        values = dict(values)
        if "augmentation" in values:
            values["augmentation"] = BoxAugmentation(**values["augmentation"])
        for name in ("input_hw", "freeze"):
            if name in values:
                values[name] = tuple(values[name])
        return cls(**values)


def get_detection_recipe(model: str, dataset: str = "coco") -> DetectionRecipe:
    """Returns the recipe of a detector of the zoo for a data set.

    The rates are RTMDet's (4e-3 for 256 images a step), scaled with the root of the
    batch and doubled for runs that are a fifth as long.

    Raises:
        ValueError: for an unknown model, with the near names, or one of another task.
    """
    recipe = DetectionRecipe(model, dataset, input_hw=get_spec(model).input_hw)
    if dataset == "synthetic":  # drawn people come in every size and colour already
        augmentation = BoxAugmentation(min_zoom=0.8, max_zoom=1.4, color=0.1)
        return recipe.override(augmentation=augmentation)
    return recipe
