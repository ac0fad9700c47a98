"""`fit_bottom_up`: wires pictures, network, loss, AP and checkpoints into one run."""

from __future__ import annotations

from pathlib import Path

import keras

from keras_pose.codecs.part_affinity import PartAffinityCodec
from keras_pose.contracts.bottom_up import BottomUpContract
from keras_pose.data.crowd_pipeline import training_crowds
from keras_pose.data.crowds import (
    CrowdSource,
    crowds_of_people,
    open_crowds,
)
from keras_pose.data.data_service import served
from keras_pose.data.pipeline import WHOLE, indices_of_batch, plain_order
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
from keras_pose.trainer.cluster import Cluster, stops_with_others
from keras_pose.trainer.cluster_steps import Team
from keras_pose.trainer.devices import recipe_strategy
from keras_pose.trainer.fit import (
    SAVE_MINUTES,
    begin,
    equalize,
    go_through,
    restore,
    synchronize_batch_norm,
)
from keras_pose.trainer.fused_norms import fuse_norms
from keras_pose.trainer.meeting import code_facts, compare, data_facts
from keras_pose.trainer.optimization import make_adamw, make_schedule
from keras_pose.trainer.plan import Plan, make_plan
from keras_pose.trainer.run_dirs import check_run_dir, open_run_dir
from keras_pose.trainer.run_facts import books, print_facts, print_outcome
from keras_pose.trainer.run_recipe import precision_policy
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
    recipe: BottomUpRecipe,
    run_dir,
    devices: str = "auto",
    save_minutes: float = SAVE_MINUTES,
    cluster: Cluster | None = None,
    data_services: tuple[str, ...] = (),
) -> Path:
    """Trains a bottom-up network, or goes on where an interrupted run stopped.

    Args:
        recipe: settings of the training.
        run_dir: folder of the run, made if need be; if it holds the same run,
            training goes on after the last step that was saved.
        devices: devices to train on, a word of `trainer.devices.make_strategy`.
        save_minutes: time between saves within an epoch.
        cluster: workers that train together, see `fit.fit`.
        data_services: addresses of servers that make the training input.

    Returns:
        The run folder.

    Raises:
        ValueError: for a recipe, data or devices that do not fit.
        ConnectionError: if other workers do not come.
        LostWorker: when one of them, or a server, is gone.
        FileNotFoundError: when the data set is not where the recipe says.
        PermissionError: when the folder cannot be written to.
    """
    run_dir = Path(run_dir)
    if run_dir.exists():
        check_run_dir(run_dir, recipe)  # refuses another run before any work is done
    PartAffinityCodec(recipe.input_hw)  # refuses an input that is no multiple of the stride
    strategy = recipe_strategy(recipe, devices, cluster)
    team = Team(cluster, strategy) if cluster else None
    with stops_with_others(cluster, data_services):
        _fit(recipe, run_dir, strategy, team, save_minutes, data_services)
    return run_dir


def _fit(recipe, run_dir, strategy, team, save_minutes, data_services):
    if team is not None:
        compare(team, code_facts(recipe, team))
    keras.utils.set_random_seed(recipe.seed)
    keras.mixed_precision.set_global_policy(precision_policy(recipe.mixed_precision))
    state = find_state(run_dir, callbacks.BottomUpCheckpoint.best_name)
    progress = begin(state, recipe, strategy)
    global_batch = progress.global_batch
    with strategy.scope():
        whole, network, model = _make_models(recipe, state)
    contract = bottom_up_contract_of(network)
    source = _training_source(recipe, global_batch, contract.skeleton)
    plan = make_plan(recipe, len(source), global_batch)
    if team is not None:
        compare(team, data_facts({"train": source}, progress))
    with strategy.scope():
        _compile(model, recipe, plan, state)
    measured = runnable_network(model) if recipe.quantization_aware else network
    measure = _ap_function(recipe, measured, contract)
    part = team.part if team else WHOLE
    is_chief = team is None or team.is_chief
    if is_chief:
        open_run_dir(run_dir, recipe)  # not before all is well: it would stay behind
        _print_facts(recipe, plan, whole, strategy, source, progress)

    def batches_from(number, part=part, services=data_services):
        def make(first, every):
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

        return served(make, services, number, part)

    def names_of_batch(number):
        order = plain_order(len(source), recipe.seed)
        chosen = indices_of_batch(order, number, plan.global_batch)
        return [str(source.image_ids[index]) for index in chosen]

    if recipe.quantization_aware and state is None:
        # Whole batches: all workers begin with the same weights.
        equalize(whole, batches_from(0, WHOLE, ()), plan.global_batch)
    chosen = [
        *([callbacks.StopAtStep(recipe.max_steps)] if recipe.max_steps else []),
        callbacks.StopAtNaN(run_dir, names_of_batch),
        callbacks.MeasureMetric(measure, recipe.ap_every, plan.epochs),
        *books(run_dir),
        callbacks.BottomUpCheckpoint(run_dir, contract, progress, save_minutes, network),
    ]
    go_through(model, batches_from, None, run_dir, plan, progress, chosen, team)
    if is_chief:
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
    if state:
        restore(model, keras.models.load_model(state.path))


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
