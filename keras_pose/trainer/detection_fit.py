"""`fit_detector`: wires images, boxes, network and loss into one training run.

What is trained is a model of all outputs in one tensor, of which a loss may see both
scores and boxes. What is measured and saved as `best.keras` is the network itself, with
the moving average of its weights.
"""

from __future__ import annotations

import math
from pathlib import Path

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
from keras_pose.data.pipeline import indices_of_batch, plain_order
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
from keras_pose.trainer.devices import recipe_strategy
from keras_pose.trainer.fit import (
    SAVE_MINUTES,
    equalize,
    freeze,
    go_through,
    restore,
    synchronize_batch_norm,
)
from keras_pose.trainer.fused_norms import fuse_norms
from keras_pose.trainer.optimization import make_adamw, warmed_up
from keras_pose.trainer.plan import Plan, make_plan
from keras_pose.trainer.run_dirs import open_run_dir
from keras_pose.trainer.run_facts import books, print_facts, print_outcome
from keras_pose.trainer.run_recipe import precision_policy
from keras_pose.trainer.run_state import Progress, RunState, find_state
from keras_pose.weights.creation import create_model
from keras_pose.weights.provenance import normalization_of
from keras_pose.zoo import get_spec

# A network from scratch first draws boxes this many strides to each side, not points:
# a box that overlaps nothing learns nothing.
START_REACH = 2.0


def fit_detector(
    recipe: DetectionRecipe,
    run_dir,
    devices: str = "auto",
    save_minutes: float = SAVE_MINUTES,
) -> Path:
    """Trains a person detector, or goes on where an interrupted run stopped.

    Args:
        recipe: settings of the training.
        run_dir: folder of the run, made if need be; if it holds the same run,
            training goes on after the last step that was saved.
        devices: devices to train on, a word of `trainer.devices.make_strategy`.
        save_minutes: time between saves within an epoch.

    Returns:
        The run folder.

    Raises:
        ValueError: for a recipe, data or devices that do not fit.
        FileNotFoundError: when the data set is not where the recipe says.
        PermissionError: when the folder cannot be written to.
    """
    run_dir = Path(run_dir)
    if run_dir.exists():
        open_run_dir(run_dir, recipe)  # refuses another run before any work is done
    strategy = recipe_strategy(recipe, devices)
    keras.utils.set_random_seed(recipe.seed)
    keras.mixed_precision.set_global_policy(precision_policy(recipe.mixed_precision))
    global_batch = recipe.batch_size * strategy.num_replicas_in_sync
    source = _training_source(recipe, global_batch)
    plan = make_plan(recipe, len(source), global_batch)
    state = find_state(run_dir, callbacks.DetectorCheckpoint.best_name)
    progress = state.progress if state else Progress()
    with strategy.scope():
        network, measured, model = _make_models(recipe, plan, state)
    contract = detector_contract(network, _normalization(network, state))
    measure = _ap_function(recipe, measured, contract)
    open_run_dir(run_dir, recipe)  # not before all is well: it would stay behind
    _print_facts(recipe, plan, network, strategy, source, progress)

    def batches_from(number):
        return training_boxes(
            source,
            contract.normalization or normalization_of(network),
            recipe.augmentation,
            recipe.input_hw,
            plan.global_batch,
            seed=recipe.seed,
            start_batch=number,
        )

    def names_of_batch(number):
        order = plain_order(len(source), recipe.seed)
        chosen = indices_of_batch(order, number, plan.global_batch)
        return [str(source.image_ids[index]) for index in chosen]

    if recipe.quantization_aware and state is None:
        equalize(network, batches_from(0), plan.global_batch)
    chosen = [
        *([callbacks.StopAtStep(recipe.max_steps)] if recipe.max_steps else []),
        callbacks.StopAtNaN(run_dir, names_of_batch),
        _measuring_callback(recipe, plan, measure),
        *books(run_dir),
        callbacks.DetectorCheckpoint(run_dir, contract, progress, save_minutes, network),
    ]
    go_through(model, batches_from, None, run_dir, plan, progress, chosen)
    print_outcome(run_dir, {"": source.num_skipped_images})
    return run_dir


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
    if recipe.teacher is not None:
        seen = _normalization(network, state)
        where = (recipe.teacher, recipe.teacher_share, network, seen)
        model = with_teacher(model, *where, loss)
        weights_of_losses = [1 - recipe.teacher_share]
    optimizer = _make_optimizer(recipe, plan)
    model.compile(optimizer, loss, loss_weights=weights_of_losses)
    if state:
        restore(model, keras.models.load_model(state.path))
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


def _measuring_callback(recipe, plan, measure):
    def measure_average(model):
        with callbacks.averaged_weights(model):
            return measure()

    return callbacks.MeasureDetector(measure_average, recipe.ap_every, plan.epochs)


def _print_facts(recipe, plan, network, strategy, source, progress):
    """Prints the plan of the run, before it takes hours."""
    kind = "drawn now" if recipe.data_dir is None else f"from {recipe.data_dir}"
    print(
        f"data set    {recipe.dataset}, {kind}: {len(source)} images with "
        f"{source.num_boxes} people"
    )
    print_facts(recipe, plan, network, strategy, progress)
    print(f"optimizer   adamw, learning rate {recipe.learning_rate:g}, moving average")
