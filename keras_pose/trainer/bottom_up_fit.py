"""`fit_bottom_up`: wires pictures, network, loss, AP and checkpoints into one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from keras_pose.codecs.part_affinity import PartAffinityCodec
from keras_pose.contracts.bottom_up import BottomUpContract
from keras_pose.data.crowd_pipeline import training_crowds
from keras_pose.data.crowds import (
    CrowdSource,
    crowds_of_people,
    open_crowds,
)
from keras_pose.data.pipeline import WHOLE
from keras_pose.data.readers.coco import Reading
from keras_pose.data.sources import synthetic_source
from keras_pose.losses import MaskedMaps
from keras_pose.measuring.crowd_split import CrowdSplit
from keras_pose.measuring.settings import MeasureSettings
from keras_pose.models.fake_quantization import fake_quantized
from keras_pose.runtime.crowd_model import CrowdModel
from keras_pose.skeleton import COCO_17, Skeleton
from keras_pose.trainer import callbacks
from keras_pose.trainer.bottom_up_recipes import BottomUpRecipe
from keras_pose.trainer.fused_norms import fuse_norms
from keras_pose.trainer.loop import begin, go_through, picture_callbacks, take_part
from keras_pose.trainer.optimization import make_adamw, make_schedule
from keras_pose.trainer.plan import Plan, make_plan
from keras_pose.trainer.preparation import (
    equalize,
    restore,
    synchronize_batch_norm,
)
from keras_pose.trainer.run_dirs import open_run_dir
from keras_pose.trainer.run_facts import print_facts, print_outcome
from keras_pose.trainer.run_state import RunState, find_state
from keras_pose.weights.creation import create_model
from keras_pose.weights.provenance import (
    Provenance,
    bottom_up_contract_of,
    normalization_of,
    runnable_network,
    set_provenance,
)

RATE_AFTER_MILESTONE = 0.333


def fit_bottom_up(
    recipe: BottomUpRecipe, run_dir, devices: str = "auto", **options: Any
) -> Path:
    """Trains a bottom-up network, or goes on where an interrupted run stopped.

    Args:
        recipe: settings of the training.
        run_dir: folder of the run.
        devices: devices to train on.
        options: further arguments of `loop.take_part`, which says more of all of them.

    Returns:
        The run folder.
    """
    PartAffinityCodec(recipe.input_hw)  # refuses an input that is no multiple of the stride
    with take_part(recipe, run_dir, devices, **options) as run:
        _fit(recipe, run)
    return run.folder


def _fit(recipe, run):
    run_dir, strategy = run.folder, run.strategy
    state = find_state(run_dir, callbacks.BottomUpCheckpoint.best_name)
    progress = begin(state, recipe, strategy)
    with strategy.scope():
        whole, network, model = _make_models(recipe, state)
    contract = bottom_up_contract_of(network)
    source = _training_source(recipe, progress.global_batch, contract.skeleton)
    plan = make_plan(recipe, len(source), progress.global_batch)
    run.compare({"train": source}, progress)
    with strategy.scope():
        _compile(model, recipe, plan, state)
    measured = runnable_network(model) if recipe.quantization_aware else network
    measure = _ap_function(recipe, measured, contract)
    if run.is_chief:
        open_run_dir(run_dir, recipe)  # not before all is well: it would stay behind
        _print_facts(recipe, plan, whole, strategy, source, progress)

    def make(first, every, part):
        return training_crowds(
            source,
            contract.codec,
            contract.normalization or normalization_of(network),
            recipe.augmentation,
            plan.global_batch,
            [output.shape[-1] for output in model.outputs],
            seed=recipe.seed,
            start_batch=first,
            part=part,
            every=every,
        )

    if recipe.quantization_aware and state is None:
        # Whole batches: all workers begin with the same weights.
        equalize(whole, make(0, 1, WHOLE), plan.global_batch)
    checkpoint = callbacks.BottomUpCheckpoint(
        run_dir, contract, progress, run.save_minutes, network
    )
    chosen = picture_callbacks(run, recipe, plan, source, measure, checkpoint)
    go_through(run, model, make, None, plan, progress, chosen)
    if run.is_chief:
        print_outcome(run_dir, {"": source.num_skipped_images})


def _training_source(
    recipe: BottomUpRecipe, global_batch: int, skeleton: Skeleton
) -> CrowdSource:
    if recipe.dataset == "synthetic" and recipe.data_dir is None:
        num_images = recipe.synthetic_images
        if recipe.max_steps:  # a smoke run need not draw what it will not see
            num_images = min(num_images, recipe.max_steps * global_batch)
        drawn = synthetic_source(num_images, recipe.seed, "train")
        return crowds_of_people(drawn, skeleton)
    split = open_crowds(
        recipe.dataset, recipe.data_dir, "train", skeleton, _reading(recipe)
    )
    return split.source.with_people().without_broken_images()


def _make_models(recipe: BottomUpRecipe, state: RunState | None):
    """Returns the network with all stages, what a file holds of it, and what is trained.

    All have the same layers; what is trained rounds as int8 does if the recipe says so.
    """
    entries = state.network_contract() if state else None
    if entries:
        found = BottomUpContract.from_dict(entries)
        provenance = Provenance("the run so far", found.normalization, None, found.skeleton)
        count = found.skeleton.num_keypoints
        whole = set_provenance(
            create_model(recipe.model, count, recipe.input_hw), provenance
        )
    elif recipe.weights is not None:
        whole = create_model(recipe.model, None, recipe.input_hw, recipe.weights)
    else:
        whole = create_model(recipe.model, COCO_17.num_keypoints, recipe.input_hw)
    synchronize_batch_norm(whole)
    fuse_norms(whole)
    model = fake_quantized(whole) if recipe.quantization_aware else whole
    return whole, runnable_network(whole), model


def _compile(model, recipe: BottomUpRecipe, plan: Plan, state: RunState | None) -> None:
    """Gives a model its optimizer and a loss a stage, as a run to resume had them."""
    model.compile(
        optimizer=_make_optimizer(recipe, plan),
        loss=[MaskedMaps() for _ in model.outputs],
    )
    restore(model, state)


def _make_optimizer(recipe: BottomUpRecipe, plan: Plan) -> keras.optimizers.Optimizer:
    rate = make_schedule(recipe, plan.total_steps, RATE_AFTER_MILESTONE)
    return make_adamw(recipe, rate)


def _reading(recipe: BottomUpRecipe) -> Reading:
    return Reading(recipe.category, recipe.rescale_labels)


def _ap_function(recipe: BottomUpRecipe, network, contract: BottomUpContract):
    """Returns a function that measures the AP of the network as it stands."""
    # A smoke run of a few steps must not validate for minutes.
    limit = recipe.max_steps or None
    where = (recipe.dataset, recipe.data_dir, "val", limit)
    split = CrowdSplit(MeasureSettings(*where, _reading(recipe)))
    model = CrowdModel.from_keras(network, contract)
    return lambda: split.value_of(model)


def _print_facts(recipe, plan, network, strategy, source, progress):
    """Prints the plan of the run, before it takes hours."""
    kind = "drawn now" if recipe.data_dir is None else f"from {recipe.data_dir}"
    print(
        f"data set    {recipe.dataset}, {kind}: {len(source)} images with "
        f"{source.num_people} people, {len(source.ignored_xyxy)} regions that do not count"
    )
    print(
        f"keypoints   {source.skeleton.name}: {source.skeleton.num_keypoints}, and "
        f"{len(source.skeleton.limbs)} limbs"
    )
    print_facts(recipe, plan, network, strategy, progress)
    print(f"loss        masked_maps of {len(network.outputs)} outputs")
    print(f"optimizer   adamw, learning rate {recipe.learning_rate:g}")
