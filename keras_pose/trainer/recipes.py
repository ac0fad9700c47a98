"""Recipes: everything that decides what a training run computes.

A recipe is a frozen dataclass, not a file format. The resolved one is saved with
each run as `recipe.json`; unknown keys are refused, never ignored.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar

from keras_pose.codecs import CODECS
from keras_pose.data.transforms import NO_AUGMENTATION, Augmentation
from keras_pose.losses import LOSSES
from keras_pose.trainer.family_recipes import (
    FAMILY_SETTINGS,
    MODEL_SETTINGS,
    SYNTHETIC_AUGMENTATION,
)
from keras_pose.trainer.run_recipe import SCHEDULES, RunRecipe, check_choice
from keras_pose.zoo import get_spec

# Ways to train a head for visibility: with the rest of the network, or it alone.
VISIBILITY_WAYS = ("with", "only")
# Share of crops whose picture ends within the person, where such a head is trained.
CUT_PROBABILITY = 0.4
OPTIMIZERS = ("adam", "adamw", "rmsprop")


@dataclass(frozen=True)
class Recipe(RunRecipe):
    """Settings to train one model on one data set.

    Attributes:
        model: zoo name.
        dataset: name, see `keras_pose.data.datasets`, or "mine=FOLDER" for a set of one's
            own in COCO's format; several with commas between.
        data_dir: its folder; of several "coco=FOLDER,mpii=FOLDER", or None for their
            default folders. None for people drawn when the run starts ("synthetic").
        mix: relative sampling weights of several sets, "coco=2,mpii=1"; None weights each
            by its number of people.
        skeleton: name of a built-in skeleton, or keypoints of your own, as contents of a
            skeleton file or its path (see `skeleton.files`; a run's own recipe has the
            contents); None for the data set's, and the union of several sets'.
        category: name of the category to read of files in COCO's format that have several
            with keypoints; None for the only one, or "person".
        rescale_labels: True to scale labels to pictures that were made smaller or larger.
        input_hw: model input (height, width), pixels.
        box_padding: factor from person box to crop, which goes into the contract: tighter
            crops show a person larger, but not what reaches beyond a box that is too small.
            None for that of `weights`, 1.25 where they do not say it.
        epochs: passes over the data.
        batch_size: samples per replica and step.
        learning_rate: highest learning rate, for the whole batch.
        schedule: "step" (x0.1 at `milestones`) or "cosine" (down to 0).
        milestones: fractions of all epochs at which the schedule "step" lowers the rate.
        warmup_steps: steps of linear growth from 0.1 % of the rate.
        optimizer: "adam", "adamw" or "rmsprop".
        weight_decay: weight decay of "adamw", the only optimizer with one. HRNet collapses
            with it (its code passes a decay setting that its Adam ignores).
        clip_norm: longest gradient of all weights together; 0 for no limit.
        loss: key of `keras_pose.losses.LOSSES`; None for the codec's usual one.
        ohkm_top_k: keypoints of a person that the loss "ohkm" learns from, its hardest;
            all of them if there are fewer, see `trainer.optimization`.
        codec: key of `keras_pose.codecs.CODECS`, which makes the targets.
        augmentation: strength of the random changes.
        weights: weights to start from, see `create_model`: a word such as "coco" or
            "imagenet", or a file; None for random.
        mixed_precision: type to compute in, "float16" (GPUs; the loss is scaled) or
            "bfloat16", with float32 weights; True for "float16", False for float32.
        accumulate: steps whose gradients are averaged before weights change. Schedules
            and `max_steps` count steps.
        freeze: beginnings of layer names that training leaves as they are, such as the
            first blocks of an ImageNet trunk ("conv_stem", "blocks-0-").
        ema_momentum: momentum, in [0, 1), of the moving average of the weights, which is
            validated and saved as best; 0 for none.
        synthetic_images: scenes to draw, where people are drawn.
        max_steps: number of steps after which to stop, in all; 0 for no limit.
        ap_every: epochs between measurements of AP on `val`; 0 for never.
        overfit_images: number N of images; trains and validates on the people of the first
            N images of `val`, to see that a network can learn. 0 for `train` and `val` as
            they are.
        teacher: file of a pose network to learn from, too, `.keras`, `.tflite` or `.onnx`,
            see `trainer.pose_teacher`; None for none.
        teacher_share: share of the teacher's part in the loss, 0 to 1.
        quantization_aware: round weights and tensors to int8 while training, see
            `models.fake_quantization`. Fine-tunes `weights`; the last resort.
        visibility: "with" to add a head that says whether keypoints are visible, hidden or
            outside the picture (`models.visibility`), trained beside the rest, which it
            does not change; "only" to train nothing else of a network that has `weights`;
            None to leave a network as its weights are.
        seed: seed of initial weights, order and augmentation.
    """

    AUGMENTATION: ClassVar[type] = Augmentation
    POSITIVE: ClassVar[tuple[str, ...]] = ("ohkm_top_k",)
    NOT_NEGATIVE: ClassVar[tuple[str, ...]] = ("ap_every", "overfit_images", "clip_norm")
    SHARES: ClassVar[tuple[str, ...]] = ("teacher_share",)

    model: str
    dataset: str = "coco"
    data_dir: str | None = None
    mix: str | None = None
    skeleton: str | dict[str, Any] | None = None
    category: str | None = None
    rescale_labels: bool = False
    input_hw: tuple[int, int] = (256, 192)
    box_padding: float | None = None
    epochs: int = 210
    batch_size: int = 32
    learning_rate: float = 1e-3
    schedule: str = "step"
    milestones: tuple[float, ...] = (170 / 210, 200 / 210)
    warmup_steps: int = 0
    optimizer: str = "adam"
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    loss: str | None = None
    ohkm_top_k: int = 8
    codec: str = "gaussian"
    augmentation: Augmentation = field(default_factory=Augmentation)
    weights: str | None = None
    mixed_precision: bool | str = False
    accumulate: int = 1
    freeze: tuple[str, ...] = ()
    ema_momentum: float = 0.0
    synthetic_images: int = 2000
    max_steps: int = 0
    ap_every: int = 0
    overfit_images: int = 0
    quantization_aware: bool = False
    visibility: str | None = None
    teacher: str | None = None
    teacher_share: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (
            ("schedule", SCHEDULES),
            ("optimizer", OPTIMIZERS),
            ("codec", tuple(CODECS)),
        ):
            check_choice(name, getattr(self, name), known)
        _check_fits(self.model, self.codec, self.loss)
        _check_visibility(self)
        if self.box_padding is not None and not self.box_padding > 0:
            raise ValueError(f"box_padding must be positive, got {self.box_padding}.")
        self.check_shared()


def _check_fits(model, codec, loss):
    """Refuses a codec that is not for the model's outputs, or a loss not for the codec."""
    usual, chosen = CODECS[get_spec(model).codec], CODECS[codec]
    if not _gives(usual, chosen):
        fitting = [kind for kind, other in CODECS.items() if _gives(usual, other)]
        raise ValueError(
            f"The codec {codec!r} is for networks that give {chosen.output_name}; {model} "
            f"gives {usual.output_name} of {usual.kind!r}: choose {' or '.join(fitting)}."
        )
    if loss is None:
        return
    check_choice("loss", loss, tuple(LOSSES))
    if loss not in chosen.losses:
        raise ValueError(
            f"The loss {loss!r} does not fit the targets of the codec {codec!r}: choose "
            f"{' or '.join(chosen.losses)}."
        )


def _check_visibility(recipe) -> None:
    """Refuses a head for visibility where there is nothing that it could read."""
    if recipe.visibility is None:
        return
    check_choice("visibility", recipe.visibility, VISIBILITY_WAYS)
    name = CODECS[recipe.codec].output_name
    if name not in ("heatmaps", "simcc"):
        raise ValueError(
            "A head for visibility is for networks that give heatmaps or simcc; "
            f"{recipe.model} gives {name}."
        )
    if recipe.visibility == "only" and recipe.weights is None:
        raise ValueError(
            "visibility 'only' trains the head of a network that is trained already: give "
            "a file or a word as weights, got none."
        )


def _gives(usual, codec) -> bool:
    """Returns True if networks made for the usual codec can give what another one
    decodes.
    """
    # Maps can be added by asking for more keypoints, but not taken away.
    has_room = codec.channels_per_keypoint % usual.channels_per_keypoint == 0
    return usual.output_name == codec.output_name and has_room


def quantization_aware_settings(recipe) -> dict[str, Any]:
    """Returns what fine-tuning with rounding inside changes of a recipe of either kind.

    A twentieth of the training at a tenth of its rate, after Jacob et al. 2018
    (arXiv:1712.05877), sec. 3, who let a trained network settle with the rounding.
    """
    return {
        "quantization_aware": True,
        "epochs": max(1, recipe.epochs // 20),
        "learning_rate": recipe.learning_rate / 10,
        "warmup_steps": 0,
    }


def overfit_settings(num_images: int) -> dict[str, Any]:
    """Returns what learning a few images by heart changes of a pose recipe."""
    return {
        "overfit_images": num_images,
        "augmentation": NO_AUGMENTATION,
        "weight_decay": 0.0,
    }


def visibility_settings(recipe: Recipe, way: str) -> dict[str, Any]:
    """Returns what a head for visibility changes of a pose recipe.

    Args:
        recipe: recipe that it is added to.
        way: one of `VISIBILITY_WAYS`. "only" takes a rate that two dense layers bear.
    """
    cuts = recipe.augmentation.cut_probability or CUT_PROBABILITY
    settings: dict[str, Any] = {
        "visibility": way,
        "augmentation": dataclasses.replace(recipe.augmentation, cut_probability=cuts),
    }
    if way == "only":
        settings |= {"learning_rate": 1e-3, "optimizer": "adam", "warmup_steps": 0}
    return settings


def get_recipe(model: str, dataset: str = "coco") -> Recipe:
    """Returns the recipe of a zoo model for a data set.

    Args:
        model: zoo name.
        dataset: name; on synthetic people the augmentation is light.

    Raises:
        ValueError: for an unknown model, with the near names, or one of a family
            that is not trained here.
    """
    spec = get_spec(model)
    if spec.family not in FAMILY_SETTINGS:
        raise ValueError(f"No recipe for the family {spec.family!r} of {model}.")
    recipe = Recipe(model, dataset, input_hw=spec.input_hw, codec=spec.codec)
    recipe = recipe.override(**FAMILY_SETTINGS[spec.family] | MODEL_SETTINGS.get(model, {}))
    if dataset == "synthetic":
        recipe = recipe.override(augmentation=SYNTHETIC_AUGMENTATION)
    return recipe
