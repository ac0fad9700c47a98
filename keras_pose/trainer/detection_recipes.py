"""Recipes of detectors: everything that decides what a training run computes.

They share the rules of `trainer.recipes` and little else: a detector has neither codec
nor keypoints, and no choice of losses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from keras_pose.data.detection_pipeline import BoxAugmentation
from keras_pose.trainer.run_recipe import RunRecipe
from keras_pose.zoo import get_spec


@dataclass(frozen=True)
class DetectionRecipe(RunRecipe):
    """Settings to train one person detector on one data set, with AdamW and a cosine.

    Attributes:
        model: zoo name, of a detector.
        dataset: name, see `keras_pose.data.datasets`.
        data_dir: its folder; None for people drawn when the run starts.
        category: name or id of the category to read, as in `recipes.Recipe`.
        rescale_labels: True to scale labels to pictures of another size.
        input_hw: model input (height, width), pixels.
        epochs: passes over the data.
        batch_size: images per replica and step.
        learning_rate: highest learning rate, for the whole batch; falls to 0 along a
            cosine.
        warmup_steps: steps of linear growth from 0.1 % of the rate.
        weight_decay: weight decay of all kernels.
        ema_momentum: momentum of the moving average of the weights, which is what is
            measured and saved: 0.998 looks back 500 steps. 0 for none.
        augmentation: strength of the random changes.
        weights: word or file of the weights to start from, see `create_model`; None for
            random.
        mixed_precision: type to compute in, as in `recipes.Recipe`.
        freeze: beginnings of layer names that training leaves as they are, as in
            `recipes.Recipe`.
        accumulate: number of steps whose gradients are averaged, as in `recipes.Recipe`.
        synthetic_images: scenes to draw, where people are drawn.
        max_steps: stop after so many steps in all; 0 for no limit.
        ap_every: epochs between measurements of box AP on `val`, and so between choices
            of the best weights; the last epoch is always measured.
        quantization_aware: True to round weights and tensors to int8 while training, as in
            `recipes.Recipe`.
        teacher: `.keras` file of a detector to learn from, of one class and the same
            strides; None for none.
        teacher_share: share of the teacher's part in the loss, 0 to 1.
        seed: seed of initial weights, order and augmentation.
    """

    AUGMENTATION: ClassVar[type] = BoxAugmentation
    POSITIVE: ClassVar[tuple[str, ...]] = ("ap_every",)
    SHARES: ClassVar[tuple[str, ...]] = ("teacher_share",)

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
    teacher: str | None = None
    teacher_share: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if get_spec(self.model).task != "detection":
            raise ValueError(
                f"{self.model} is no detector: see trainer.recipes.get_recipe."
            )
        self.check_shared()


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
