"""How a task is trained: a labelled set by `trainer.fit`, batches of one's own by Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_pose.contracts.entries import save_keras_model
from keras_pose.contracts.pose import Contract
from keras_pose.files.runs import RECIPE_NAME, new_run_dir
from keras_pose.models.visibility import without_visibility
from keras_pose.pictures.normalization import IMAGENET
from keras_pose.skeleton import SKELETONS, Skeleton
from keras_pose.skeleton.files import skeleton_to_dict
from keras_pose.tasks.sets import NamedSet
from keras_pose.trainer.fit import compile_network, fit
from keras_pose.trainer.recipes import Recipe, get_recipe

# The network as it was when its training began; a run's recipe names it as its weights.
START_NAME = "start.keras"


def task_recipe(contract: Contract, dataset: str = "coco", **entries: Any) -> Recipe:
    """Returns the recipe by which a network is trained: its family's, for its own codec.

    Args:
        contract: contract of the network.
        dataset: name of the data set.
        entries: fields of `trainer.recipes.Recipe` that replace the family's.

    Raises:
        ValueError: for unknown entries, or a network without a recipe.
    """
    recipe = get_recipe(contract.model, dataset)
    own = {"input_hw": contract.input_hw, "codec": contract.codec.kind}
    return recipe.override(**own | entries)


def fit_set(
    network,
    contract: Contract,
    named: NamedSet,
    run_dir,
    devices,
    entries,
    skeleton: Skeleton | None = None,
) -> Path:
    """Trains on a data set by `trainer.fit`; returns the run folder.

    The network as it is goes into the folder first, so that the run's recipe is whole:
    `training/train.py --resume` goes on with it.

    Args:
        network: the Keras model to start from.
        contract: contract of the network.
        named: the data set.
        run_dir: folder of the run; None for a new one in `runs`. A run that is there
            already goes on.
        devices: word that `trainer.devices.make_strategy` takes.
        entries: entries of the recipe that are to be otherwise.
        skeleton: keypoints that the user names; None for those of the set.
    """
    if skeleton is not None and skeleton != named.skeleton:
        entries = {"skeleton": _skeleton_entry(skeleton)} | entries
    chosen = Path(run_dir or new_run_dir("runs", contract.model, named.name))
    start = chosen / START_NAME
    words, folder = named.words
    given = {"weights": str(start), "dataset": words, "data_dir": folder} | entries
    recipe = task_recipe(contract, **given)
    if not (chosen / RECIPE_NAME).exists():
        save_keras_model(network, start, contract)
    return fit(recipe, chosen, devices)


def _skeleton_entry(skeleton: Skeleton) -> str | dict[str, Any]:
    """Returns what a recipe says of keypoints: a name, or the contents of a file."""
    is_built_in = SKELETONS.get(skeleton.name) == skeleton
    return skeleton.name if is_built_in else skeleton_to_dict(skeleton)


def fit_batches(
    network, contract: Contract, batches, epochs, validation, callbacks, steps, entries
):
    """Trains on batches of one's own by Keras; returns its History.

    Args:
        network: the Keras model, trained in place.
        contract: contract of the network.
        batches: tf.data.Dataset of (crops, targets, weights), see `PoseTask.fit`.
        epochs: passes over the batches; None for the recipe's.
        validation: tf.data.Dataset of the same to validate on after each epoch; None for
            no validation.
        callbacks: Keras callbacks.
        steps: batches an epoch, of endless ones; None where they end.
        entries: entries of the recipe that are to be otherwise.
    """
    recipe = task_recipe(contract, **entries)
    # A head for visibility would need targets of its own.
    network = without_visibility(network)
    epochs = epochs or recipe.epochs
    num_outputs = len(network.outputs)
    sets = [_prepared(batches, contract, num_outputs)]
    total_steps = epochs * _steps_per_epoch(batches, steps)
    if validation is not None:
        sets.append(_prepared(validation, contract, num_outputs))
    count = contract.skeleton.num_keypoints
    compile_network(network, recipe, contract.codec, count, total_steps)
    return network.fit(
        sets[0],
        validation_data=sets[1] if validation is not None else None,
        epochs=epochs,
        steps_per_epoch=steps,
        callbacks=callbacks,
        shuffle=False,  # batches have their own order
        verbose=2,
    )


def _steps_per_epoch(batches, steps: int | None) -> int:
    if steps is not None:
        return steps
    count = int(batches.cardinality().numpy())
    if count == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "These batches never end: say how many make an epoch, steps_per_epoch=..."
        )
    if count == tf.data.UNKNOWN_CARDINALITY:
        return sum(1 for _ in batches)
    return count


def _prepared(batches, contract: Contract, num_outputs: int):
    """Checks the elements of a data set, and normalises crops that are pixels."""
    if not isinstance(batches, tf.data.Dataset):
        raise ValueError(
            "Batches are a tf.data.Dataset of (crops, targets, weights), got "
            f"{type(batches).__name__}."
        )
    spec = batches.element_spec
    if not isinstance(spec, tuple) or len(spec) != 3:
        raise ValueError(
            "A batch must be (crops, targets, weights), with one weight per keypoint; got "
            f"{spec}."
        )
    crops, targets, weights = spec
    count = contract.skeleton.num_keypoints
    height, width = contract.input_hw
    _check_shape("crops", crops, (height, width, 3))
    for each in _each(targets):
        _check_shape("targets", each, contract.codec.output_shape(count))
    for each in _each(weights):
        _check_shape("weights", each, (count,))
    if crops.dtype not in (tf.uint8, tf.float32):
        raise ValueError(
            "Crops must be uint8 RGB, or float32 as the network takes them (normalised); "
            f"got {crops.dtype.name}."
        )
    given = {len(_each(targets)), len(_each(weights))}
    if given - {1, num_outputs}:
        raise ValueError(
            f"{contract.model} has {num_outputs} outputs: give targets and weights once, "
            f"or a tuple of as many, got {sorted(given)}."
        )
    normalization = contract.normalization or IMAGENET

    def prepare(crops, targets, weights):
        if crops.dtype == tf.uint8:
            crops = normalization(tf.cast(crops, tf.float32))
        if num_outputs > 1:
            targets, weights = (
                _each(values) * (num_outputs if len(_each(values)) == 1 else 1)
                for values in (targets, weights)
            )
        return crops, targets, weights

    return batches.map(prepare, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def _each(values) -> tuple:
    return values if isinstance(values, tuple) else (values,)


def _check_shape(name: str, spec, expected) -> None:
    """Refuses what is not (B, *expected), as far as the data set says its shapes."""
    shape = getattr(spec, "shape", None)
    if shape is None:
        raise ValueError(f"The {name} of a batch must be a tensor, got {spec}.")
    if shape.rank is not None and not shape[1:].is_compatible_with(expected):
        raise ValueError(
            f"The {name} of a batch must be (B, {', '.join(map(str, expected))}), got "
            f"{tuple(shape)}."
        )
