"""Recipes of bottom-up networks: everything that decides what a training run computes.

They share the rules of `trainer.recipes` and little else: such a network sees whole
pictures, and has one codec and one loss.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from keras_pose.data.crowd_pipeline import CrowdAugmentation
from keras_pose.trainer.recipes import check_fine_tuning, check_known, precision_policy
from keras_pose.zoo import get_spec


@dataclass(frozen=True)
class BottomUpRecipe:
    """How to train one bottom-up network on one data set, with Adam and steps.

    The defaults are lightweight OpenPose's (`train.py`): 280 epochs of batches of 80 at
    4e-5, a third of it after 100, 200 and 260. Its weight decay is decoupled here, and all
    layers learn at one rate, where it gives the last layers up to four times as much.

    Attributes:
        model: zoo name, of a bottom-up network.
        dataset: "coco" or "synthetic".
        data_dir: its folder; None for people drawn when the run starts.
        category: see `recipes.Recipe`.
        rescale_labels: see `recipes.Recipe`.
        input_hw: model input (height, width), pixels.
        epochs: passes over the pictures.
        batch_size: pictures per replica and step.
        learning_rate: at its highest, for the whole batch.
        milestones: shares of the run after which the rate is a third of what it was.
        warmup_steps: steps of linear growth from 0.1 % of the rate.
        weight_decay: of all kernels.
        ema_momentum: of the moving average of the weights, which is what is measured and
            saved; 0 for none.
        augmentation: how much pictures vary.
        weights: what the network starts from, see `create_model`; None for random. Those of
            OpenPose's 18 keypoints are trained on with them, others have COCO's 17.
        mixed_precision: see `recipes.Recipe`.
        accumulate: see `recipes.Recipe`.
        synthetic_images: scenes to draw, where people are drawn.
        max_steps: stop after so many steps in all; 0 for no limit.
        ap_every: epochs between measurements of AP on `val`, and so between choices of the
            best weights; the last epoch is always measured.
        quantization_aware: see `recipes.Recipe`.
        seed: of initial weights, order and augmentation.
    """

    model: str
    dataset: str = "coco"
    data_dir: str | None = None
    category: str | None = None
    rescale_labels: bool = False
    input_hw: tuple[int, int] = (368, 368)
    epochs: int = 280
    batch_size: int = 80
    learning_rate: float = 4e-5
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
        if sorted(self.milestones) != list(self.milestones):
            raise ValueError(f"milestones must rise, got {self.milestones}.")
        precision_policy(self.mixed_precision)
        check_fine_tuning(self.quantization_aware, self.weights)

    def override(self, **values: Any) -> BottomUpRecipe:
        """Returns a copy with those values that are not None."""
        given = {name: value for name, value in values.items() if value is not None}
        check_known(BottomUpRecipe, given)
        return dataclasses.replace(self, **given)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> BottomUpRecipe:
        """Reads what `to_dict` wrote.

        Raises:
            ValueError: for unknown keys or values that do not fit.
        """
        check_known(cls, values)
        values = dict(values)
        if "augmentation" in values:
            values["augmentation"] = CrowdAugmentation(**values["augmentation"])
        for name in ("input_hw", "milestones"):
            if name in values:
                values[name] = tuple(values[name])
        return cls(**values)


def get_bottom_up_recipe(model: str, dataset: str = "coco") -> BottomUpRecipe:
    """Returns the recipe of a bottom-up network of the zoo for a data set.

    Raises:
        ValueError: for an unknown model, with the near names, or one of another task.
    """
    return BottomUpRecipe(model, dataset)
