"""Losses, optimizers and learning rate schedules of the recipes."""

from __future__ import annotations

import warnings
from typing import Any

import keras
from keras import ops

from keras_pose.codecs import Codec
from keras_pose.losses import LOSSES
from keras_pose.trainer.bottom_up_recipes import BottomUpRecipe
from keras_pose.trainer.fused_updates import fuse_updates
from keras_pose.trainer.recipes import Recipe
from keras_pose.trainer.run_recipe import RunRecipe


@keras.saving.register_keras_serializable("keras_pose")
class WarmUpThen(keras.optimizers.schedules.LearningRateSchedule):
    """Grows linearly for some steps, then follows another schedule.

    Attributes:
        schedule: schedule that follows; sees the steps from the start of training.
        warmup_steps: steps of growth, from 0.1 % of the rate on.
    """

    def __init__(self, schedule, warmup_steps):
        self.schedule = schedule
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        growth = ops.clip(step / self.warmup_steps, 1e-3, 1.0)
        return self.schedule(step) * growth

    def get_config(self):
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "warmup_steps": self.warmup_steps,
        }

    @classmethod
    def from_config(cls, config):
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["warmup_steps"])


def make_loss(recipe: Recipe, codec: Codec, num_keypoints: int) -> keras.losses.Loss:
    """Builds the recipe's loss, or the usual one of the codec.

    "ohkm" mines 8 of COCO's 17 keypoints; of a skeleton with fewer it takes all, and a
    warning says so.
    """
    name = recipe.loss or codec.default_loss
    settings = dict(codec.loss_settings)
    if name == "ohkm":
        settings["top_k"] = min(recipe.ohkm_top_k, num_keypoints)
        if recipe.ohkm_top_k > num_keypoints:
            warnings.warn(
                f"The loss ohkm would learn from the hardest {recipe.ohkm_top_k} keypoints "
                f"of a person, but there are {num_keypoints}: it takes all of them, and is "
                f"plain joints_mse (--ohkm-top-k, below {num_keypoints}, mines them).",
                stacklevel=2,
            )
    return LOSSES[name](**settings)


def make_schedule(recipe: Recipe | BottomUpRecipe, total_steps: int, drop: float = 0.1):
    """Builds the learning rate of a run.

    Args:
        recipe: schedule and highest rate.
        total_steps: steps of the run.
        drop: factor on the rate at each milestone.
    """
    if recipe.schedule == "cosine":
        schedule = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, total_steps)
    else:
        boundaries = [round(part * total_steps) for part in recipe.milestones]
        rates = [recipe.learning_rate * drop**i for i in range(len(boundaries) + 1)]
        schedule = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)
    return warmed_up(schedule, recipe, total_steps)


def warmed_up(schedule, recipe: RunRecipe, total_steps: int):
    """Lets the rate of a recipe's schedule grow first."""
    # Growth may take a tenth of a short run, not more.
    warmup_steps = min(recipe.warmup_steps, total_steps // 10)
    return WarmUpThen(schedule, warmup_steps) if warmup_steps else schedule


def make_adamw(recipe: RunRecipe, rate, clip_norm: float = 0.0):
    """Builds AdamW for a recipe of any kind.

    Args:
        recipe: weight decay, moving average and accumulation.
        rate: learning rate, or its schedule.
        clip_norm: the length that the gradients are cut to; 0 for none.
    """
    optimizer = keras.optimizers.AdamW(
        rate,
        weight_decay=recipe.weight_decay,
        epsilon=1e-8,
        **_shared(recipe, clip_norm),
    )
    # Decaying scales and biases only fights normalisation; positions are no weights of
    # sums, either.
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "embedding"])
    return fuse_updates(optimizer)


def _shared(recipe: RunRecipe, clip_norm: float) -> dict[str, Any]:
    return {
        "global_clipnorm": clip_norm or None,
        "use_ema": recipe.ema_momentum > 0,
        "ema_momentum": recipe.ema_momentum,
        "gradient_accumulation_steps": recipe.accumulate if recipe.accumulate > 1 else None,
    }


def steps_taken(optimizer: keras.optimizers.Optimizer) -> int:
    """Returns the steps so far; `iterations` counts changes of weights."""
    # float16 wraps the optimizer in one that scales the loss.
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return int(inner._iterations.numpy())


def make_optimizer(recipe: Recipe, total_steps: int) -> keras.optimizers.Optimizer:
    """Builds the optimizer; epsilon 1e-8 as in PyTorch, which the recipes come from."""
    rate = make_schedule(recipe, total_steps)
    shared = _shared(recipe, recipe.clip_norm)
    match recipe.optimizer:
        case "adam":
            return fuse_updates(keras.optimizers.Adam(rate, epsilon=1e-8, **shared))
        case "adamw":
            return make_adamw(recipe, rate, recipe.clip_norm)
        case "rmsprop":
            return keras.optimizers.RMSprop(rate, rho=0.99, epsilon=1e-8, **shared)
        case _:
            raise ValueError(f"Unknown optimizer {recipe.optimizer!r}.")
