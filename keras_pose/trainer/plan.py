"""Length of a training run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from keras_pose.trainer.run_recipe import RunRecipe


@dataclass(frozen=True)
class Plan:
    """Numbers that follow from recipe, data and devices."""

    global_batch: int
    steps_per_epoch: int
    total_steps: int
    epochs: int


def make_plan(recipe: RunRecipe, num_samples: int, global_batch: int) -> Plan:
    """Counts the steps of a run.

    Args:
        recipe: epochs and limits.
        num_samples: samples of an epoch.
        global_batch: samples a step, over all replicas.
    """
    steps_per_epoch = math.ceil(num_samples / global_batch)
    total_steps = recipe.epochs * steps_per_epoch
    if recipe.max_steps:
        total_steps = min(total_steps, recipe.max_steps)
    epochs = math.ceil(total_steps / steps_per_epoch)
    return Plan(global_batch, min(steps_per_epoch, total_steps), total_steps, epochs)
