"""`fit_detector`: wires images, boxes, network and loss into one training run.

What is trained is a model of all outputs in one tensor, of which a loss may see both
scores and boxes. What is measured and saved as `best.keras` is the network itself, with
the moving average of its weights.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
from keras import layers, ops

from keras_pose.contracts.detector import (
    DetectorContract,
    detector_contract,
)
from keras_pose.data.detection_pipeline import training_boxes
from keras_pose.data.mixing import parse_mix, validating_set
from keras_pose.data.person_boxes import (
    BoxSource,
    boxes_of_people,
    join_boxes,
    open_boxes,
)
from keras_pose.data.pipeline import WHOLE
from keras_pose.data.readers.coco import Reading
from keras_pose.data.sources import synthetic_source
from keras_pose.losses.detection_losses import BoxLoss
from keras_pose.measuring.box_split import BoxSplit
from keras_pose.measuring.settings import MeasureSettings
from keras_pose.models.fake_quantization import fake_quantized
from keras_pose.pictures.normalization import Normalization
from keras_pose.runtime.detector_model import Detector
from keras_pose.trainer import callbacks
from keras_pose.trainer.detection_recipes import DetectionRecipe
from keras_pose.trainer.detector_teacher import with_teacher
from keras_pose.trainer.fused_norms import fuse_norms
from keras_pose.trainer.loop import begin, go_through, picture_callbacks, take_part
from keras_pose.trainer.optimization import make_adamw, warmed_up
from keras_pose.trainer.plan import Plan, make_plan
from keras_pose.trainer.preparation import (
    equalize,
    freeze,
    restore,
    sum_over_replicas,
    synchronize_batch_norm,
)
from keras_pose.trainer.run_dirs import open_run_dir
from keras_pose.trainer.run_facts import print_facts, print_outcome
from keras_pose.trainer.run_state import RunState, find_state
from keras_pose.weights.creation import create_model
from keras_pose.weights.provenance import normalization_of
from keras_pose.zoo import get_spec

# A network from scratch first draws boxes this many strides to each side, not points:
# a box that overlaps nothing learns nothing.
START_REACH = 2.0


def fit_detector(
    recipe: DetectionRecipe, run_dir, devices: str = "auto", **options: Any
) -> Path:
    """Trains a person detector, or goes on where an interrupted run stopped.

    Args:
        recipe: settings of the training.
        run_dir: folder of the run.
        devices: devices to train on.
        options: further arguments of `loop.take_part`, which says more of all of them.

    Returns:
        The run folder.
    """
    with take_part(recipe, run_dir, devices, **options) as run:
        _fit(recipe, run)
    return run.folder


def _fit(recipe, run):
    run_dir, strategy = run.folder, run.strategy
    state = find_state(run_dir, callbacks.DetectorCheckpoint.best_name)
    progress = begin(state, recipe, strategy)
    source = _training_source(recipe, progress.global_batch)
    plan = make_plan(recipe, len(source), progress.global_batch)
    run.compare({"train": source}, progress)
    with strategy.scope():
        network, measured, model = _make_models(recipe, plan, state)
    contract = detector_contract(network, _normalization(network, state))
    measure = _ap_function(recipe, measured, contract)
    if run.is_chief:
        open_run_dir(run_dir, recipe)  # not before all is well: it would stay behind
        _print_facts(recipe, plan, network, strategy, source, progress)

    def make(first, every, part):
        return training_boxes(
            source,
            contract.normalization or normalization_of(network),
            recipe.augmentation,
            recipe.input_hw,
            plan.global_batch,
            seed=recipe.seed,
            start_batch=first,
            part=part,
            every=every,
        )

    if recipe.quantization_aware and state is None:
        # Whole batches: all workers begin with the same weights.
        equalize(network, make(0, 1, WHOLE), plan.global_batch)
    checkpoint = callbacks.DetectorCheckpoint(
        run_dir, contract, progress, run.save_minutes, network
    )
    chosen = picture_callbacks(run, recipe, plan, source, measure, checkpoint)
    go_through(run, model, make, None, plan, progress, chosen)
    if run.is_chief:
        print_outcome(run_dir, {"": source.num_skipped_images})


def _training_source(recipe: DetectionRecipe, global_batch: int) -> BoxSource:
    if recipe.dataset == "synthetic" and recipe.data_dir is None:
        num_images = recipe.synthetic_images
        if recipe.max_steps:  # a smoke run need not draw what it will not see
            num_images = min(num_images, recipe.max_steps * global_batch)
        return boxes_of_people(synthetic_source(num_images, recipe.seed, "train"))
    mix = parse_mix(recipe.dataset, recipe.data_dir)
    sources = [
        open_boxes(name, folder, "train", _reading(recipe)).source.with_people()
        for name, folder in zip(mix.names, mix.data_dirs, strict=True)
    ]
    return join_boxes(sources).without_broken_images()


def _make_models(recipe: DetectionRecipe, plan: Plan, state: RunState | None):
    """Returns the network, what is measured, and the compiled model that is trained.

    All have the same layers; what is measured rounds as int8 does if training does.
    """
    weights = None if state else recipe.weights
    network = create_model(recipe.model, 1, recipe.input_hw, weights)
    if weights is None:
        start_boxes(network)
    synchronize_batch_norm(network)
    freeze(network, recipe.freeze)
    fuse_norms(network)
    measured = fake_quantized(network) if recipe.quantization_aware else network
    model = training_model(measured)
    num_levels = len(network.outputs) // 2
    strides = [recipe.input_hw[0] // x.shape[1] for x in network.outputs[:num_levels]]
    loss, weights_of_losses = BoxLoss(recipe.input_hw, strides), None
    loss.sum_over_replicas = sum_over_replicas
    if recipe.teacher is not None:
        seen = _normalization(network, state)
        where = (recipe.teacher, recipe.teacher_share, network, seen)
        model = with_teacher(model, *where, loss)
        weights_of_losses = [1 - recipe.teacher_share]
    optimizer = _make_optimizer(recipe, plan)
    model.compile(optimizer, loss, loss_weights=weights_of_losses)
    restore(model, state)
    return network, measured, model


def start_boxes(network) -> None:
    """Lets an untrained RTMDet draw boxes of some size, see `START_REACH`."""
    has_exponential = get_spec(network.name).options.get("has_exponential", False)
    value = math.log(START_REACH) if has_exponential else START_REACH
    for layer in network.layers:
        if layer.name.startswith("bbox_head-rtm_reg"):
            layer.bias.assign(ops.full(layer.bias.shape, value))


def training_model(network) -> keras.Model:
    """Puts all outputs of a detector into one tensor (B, N, C + 4), float32.

    The layers, and so the weights, are the network's own.
    """
    num_levels = len(network.outputs) // 2
    rows = []
    for i in range(num_levels):
        logits, distances = network.outputs[i], network.outputs[num_levels + i]
        parts = [
            layers.Reshape((-1, x.shape[-1]), dtype="float32", name=f"{kind}-row-{i}")(x)
            for kind, x in (("logits", logits), ("distances", distances))
        ]
        rows.append(layers.Concatenate(dtype="float32", name=f"level-{i}")(parts))
    joined = layers.Concatenate(axis=1, dtype="float32", name="levels")(rows)
    return keras.Model(network.inputs, joined, name=f"{network.name}-training")


def _make_optimizer(recipe: DetectionRecipe, plan: Plan) -> keras.optimizers.Optimizer:
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, plan.total_steps)
    return make_adamw(recipe, warmed_up(rate, recipe, plan.total_steps))


def _normalization(network, state: RunState | None) -> Normalization:
    """Returns that of the run so far, of the weights it starts from, or the zoo's."""
    entries = state.network_contract() if state else None
    found = DetectorContract.from_dict(entries).normalization if entries else None
    return found or normalization_of(network)


def _reading(recipe: DetectionRecipe) -> Reading:
    return Reading(recipe.category, recipe.rescale_labels)


def _ap_function(recipe: DetectionRecipe, network, contract: DetectorContract):
    """Returns a function that measures the box AP of the network as it stands."""
    # A smoke run of a few steps must not validate for minutes.
    limit = recipe.max_steps or None
    mix = parse_mix(recipe.dataset, recipe.data_dir)
    name, folder, _ = validating_set(mix)
    settings = MeasureSettings(name, folder, "val", limit, _reading(recipe))
    split = BoxSplit(settings)
    detector = Detector.from_keras(network, contract)
    return lambda: split.value_of(detector)


def _print_facts(recipe, plan, network, strategy, source, progress):
    """Prints the plan of the run, before it takes hours."""
    kind = "drawn now" if recipe.data_dir is None else f"from {recipe.data_dir}"
    print(
        f"data set    {recipe.dataset}, {kind}: {len(source)} images with "
        f"{source.num_boxes} people"
    )
    print_facts(recipe, plan, network, strategy, progress)
    print(f"optimizer   adamw, learning rate {recipe.learning_rate:g}, moving average")
