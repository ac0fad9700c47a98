"""`fit`: wires people, a pose network, its loss and checkpoints into one training run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_pose.codecs import CODECS
from keras_pose.contracts.pose import keras_contract, read_contract
from keras_pose.data import PoseDataset
from keras_pose.data.mixing import (
    Mix,
    open_measured,
    open_train,
    open_val,
    parse_mix,
    validating_name,
    validating_set,
)
from keras_pose.data.pipeline import (
    WHOLE,
    indices_of_batch,
    person_order,
    training_dataset,
    validation_dataset,
)
from keras_pose.data.readers.coco import Reading
from keras_pose.data.remarks import label_remarks
from keras_pose.data.sources import (
    PersonSource,
    mix_sources,
    records_source,
    synthetic_source,
)
from keras_pose.losses import VisibilityCrossEntropy
from keras_pose.measuring.people_split import PeopleSplit
from keras_pose.measuring.settings import MeasureSettings
from keras_pose.metrics.streaming import StreamingPCK
from keras_pose.models.fake_quantization import fake_quantized
from keras_pose.models.own_layers import TeacherGap
from keras_pose.models.visibility import has_visibility, head_layers
from keras_pose.pictures.normalization import Normalization
from keras_pose.runtime import PoseModel
from keras_pose.trainer import callbacks
from keras_pose.trainer.fused_norms import fuse_norms
from keras_pose.trainer.loop import begin, go_through, take_part
from keras_pose.trainer.optimization import make_loss, make_optimizer
from keras_pose.trainer.plan import make_plan
from keras_pose.trainer.pose_teacher import (
    copies_maps,
    labelled_by_teacher,
    with_teacher,
)
from keras_pose.trainer.preparation import (
    equalize,
    freeze,
    restore,
    synchronize_batch_norm,
)
from keras_pose.trainer.recipes import Recipe
from keras_pose.trainer.run_dirs import open_run_dir
from keras_pose.trainer.run_facts import books, print_facts, print_outcome
from keras_pose.trainer.run_state import (
    Progress,
    RunState,
    find_state,
)
from keras_pose.weights.creation import create_model
from keras_pose.weights.provenance import box_padding_of, normalization_of
from keras_pose.zoo import get_spec


def fit(recipe: Recipe, run_dir, devices: str = "auto", **options: Any) -> Path:
    """Trains a model, or goes on where an interrupted run stopped.

    Args:
        recipe: settings of the training.
        run_dir: folder of the run, made if need be; if it holds the same run,
            training goes on after the last step that was saved.
        devices: devices to train on, a word of `trainer.devices.make_strategy`.
        options: further arguments of `loop.take_part`, which says what is raised.

    Returns:
        The run folder.
    """
    with take_part(recipe, run_dir, devices, **options) as run:
        _fit(recipe, run)
    return run.folder


def _fit(recipe, run):
    run_dir, strategy = run.folder, run.strategy
    state = find_state(run_dir, callbacks.best_name_of(recipe.visibility))
    progress = begin(state, recipe, strategy)
    global_batch = progress.global_batch
    sources = {name: _open_source(recipe, name, global_batch) for name in ("train", "val")}
    plan = make_plan(recipe, sources["train"].epoch_size, global_batch)
    run.compare(sources, progress)
    codec = CODECS[recipe.codec].for_input(recipe.input_hw, get_spec(recipe.model).stride)
    if recipe.teacher and not copies_maps(recipe.teacher, codec):
        sources["train"] = _with_labels(recipe, sources["train"], run_dir, run.is_chief)
        plan = make_plan(recipe, sources["train"].epoch_size, global_batch)
    with strategy.scope():
        network, model = _make_models(recipe, plan, state, sources["train"].skeleton, codec)
    contract = keras_contract(
        network,
        codec,
        sources["train"].skeleton,
        _normalization(network, state),
        _box_padding(recipe, network, state),
    )
    if run.is_chief:
        open_run_dir(run_dir, recipe)  # not before all is well: it would stay behind
        _print_facts(recipe, plan, model, strategy, sources, progress)

    def make(first, every, part):
        return _training_batches(
            recipe, plan, sources["train"], contract, model, first, part, every
        )

    if recipe.quantization_aware and state is None:
        # Whole batches: all workers begin with the same weights.
        equalize(network, make(0, 1, WHOLE), plan.global_batch)
    val_batches = _validation_batches(recipe, plan, sources["val"], contract, model, run)
    chosen = _make_callbacks(recipe, plan, run, progress, contract, network, model, sources)
    go_through(run, model, make, val_batches, plan, progress, chosen)
    if run.is_chief:
        skipped = {f" of {name}": s.num_skipped_images for name, s in sources.items()}
        print_outcome(run_dir, skipped)


def _open_source(recipe: Recipe, split: str, global_batch: int) -> PersonSource:
    """Opens the people of a split, or draws them."""
    if recipe.dataset == "synthetic" and not (recipe.data_dir or recipe.skeleton):
        if recipe.overfit_images:
            return synthetic_source(recipe.overfit_images, recipe.seed, "val")
        share = 1.0 if split == "train" else 0.1
        num_images = max(1, round(share * recipe.synthetic_images))
        if recipe.max_steps:  # a smoke run need not draw what it will not see
            num_images = min(num_images, recipe.max_steps * global_batch)
        return synthetic_source(num_images, recipe.seed, split)
    mix = _mix(recipe)
    if recipe.overfit_images:
        return _readable(open_val(mix).in_first_images(recipe.overfit_images))
    if split == "val":
        return _readable(open_val(mix))
    opened = open_train(mix, keeps_unlabelled=recipe.teacher is not None)
    return mix_sources([_readable(people) for people in opened], mix.shares)


def _with_labels(recipe, source: PersonSource, run_dir, writes) -> PersonSource:
    """Adds everybody once more, labelled by the teacher, of whom a share is seen."""
    taught = labelled_by_teacher(source, recipe.teacher, run_dir, writes)
    parts = source.set_quotas / source.epoch_size * (1 - recipe.teacher_share)
    mixed = mix_sources([source, taught], (1.0, 1.0))
    if source.set_index is not None:
        last = np.full(len(taught), len(parts), np.int32)
        mixed = dataclasses.replace(
            mixed, set_index=np.concatenate([source.set_index, last])
        )
    return dataclasses.replace(mixed, shares=(*parts.tolist(), recipe.teacher_share))


def _readable(dataset: PoseDataset) -> PersonSource:
    return records_source(dataset.records, dataset.skeleton).without_broken_images()


def _mix(recipe: Recipe) -> Mix:
    return parse_mix(
        recipe.dataset,
        recipe.data_dir,
        recipe.mix,
        recipe.skeleton,
        Reading(recipe.category, recipe.rescale_labels),
    )


def _make_models(recipe, plan, state: RunState | None, skeleton, codec):
    """Returns the network, and the compiled model that is trained: the same, or around it.

    They have the weights, and the latter the optimizer, of a run to resume.
    """
    spec = get_spec(recipe.model)
    weights = None if state and not spec.needs_trunk else recipe.weights
    # A network of one map a keypoint has room for a codec of three if built for more.
    usual = CODECS[spec.codec]
    factor = codec.channels_per_keypoint // usual.channels_per_keypoint
    num_keypoints = factor * skeleton.num_keypoints
    network = create_model(
        recipe.model,
        num_keypoints,
        recipe.input_hw,
        weights,
        skeleton,
        has_head(recipe, state),
    )
    synchronize_batch_norm(network)
    freeze(network, recipe.freeze)
    if recipe.visibility == "only":
        freeze_all_but_head(network)
    fuse_norms(network)
    model = fake_quantized(network) if recipe.quantization_aware else network
    if recipe.teacher and copies_maps(recipe.teacher, codec):
        loss = make_loss(recipe, codec, skeleton.num_keypoints)
        seen = _normalization(network, state)
        where = (recipe.teacher, recipe.teacher_share, codec, skeleton, seen)
        model = with_teacher(model, *where, loss)
    compile_network(model, recipe, codec, skeleton.num_keypoints, plan.total_steps)
    restore(model, state)
    return network, model


def compile_network(
    model, recipe: Recipe, codec, num_keypoints: int, total_steps: int
) -> None:
    """Compiles a network with the optimizer and the loss of its recipe, and PCK.

    Args:
        model: Keras model, changed in place.
        recipe: how it is trained.
        codec: what targets look like.
        num_keypoints: keypoints that it predicts.
        total_steps: steps of the whole training, which the learning rate follows.
    """
    num_maps = len(model.outputs) - has_visibility(model)
    losses: list = [make_loss(recipe, codec, num_keypoints) for _ in range(num_maps)]
    metrics: list = [[]] * (num_maps - 1) + [[StreamingPCK(codec)]]
    is_taught = any(isinstance(layer, TeacherGap) for layer in model.layers)
    shares = [1 - recipe.teacher_share if is_taught else 1.0] * num_maps
    if has_visibility(model):
        losses.insert(0, VisibilityCrossEntropy())
        name = callbacks.KIND_ACCURACY
        metrics.insert(0, [keras.metrics.SparseCategoricalAccuracy(name)])
        shares.insert(0, 1.0)
    model.compile(
        optimizer=make_optimizer(recipe, total_steps),
        loss=losses,
        loss_weights=shares if is_taught else None,
        weighted_metrics=metrics,
    )


def has_head(recipe: Recipe, state: RunState | None) -> bool | None:
    """Returns whether a network has a head for visibility; None where weights decide."""
    if state is not None:
        return read_contract(state.path).visibility is not None
    return True if recipe.visibility else None


def freeze_all_but_head(network) -> None:
    """Makes all layers but those of the head for visibility untrainable, in place."""
    trained = {layer.name for layer in head_layers(network)}
    for layer in network.layers:
        layer.trainable = layer.name in trained


def _normalization(model, state: RunState | None) -> Normalization:
    """Returns that of the run so far, of the weights it starts from, or the zoo's."""
    found = read_contract(state.path).normalization if state else None
    return found or normalization_of(model)


def _box_padding(recipe: Recipe, model, state: RunState | None) -> float:
    """Returns that of the recipe, of the run so far, or of the weights it starts from."""
    if recipe.box_padding is not None:
        return recipe.box_padding
    return read_contract(state.path).box_padding if state else box_padding_of(model)


def _training_batches(recipe, plan, source, contract, model, first_batch, part, every):
    return training_dataset(
        source,
        contract.codec,
        contract.normalization,
        recipe.augmentation,
        plan.global_batch,
        box_padding=contract.box_padding,
        seed=recipe.seed,
        start_batch=first_batch,
        num_outputs=len(model.outputs) - has_visibility(model),
        with_kinds=has_visibility(model),
        part=part,
        every=every,
    )


def _validation_batches(recipe, plan, source, contract, model, run):
    batches = validation_dataset(
        source,
        contract.codec,
        contract.normalization,
        plan.global_batch,
        box_padding=contract.box_padding,
        num_outputs=len(model.outputs) - has_visibility(model),
        with_kinds=has_visibility(model),
        cuts_pictures=recipe.visibility == "only",
        num_replicas=run.strategy.num_replicas_in_sync,
        part=run.part,
    )
    # A smoke run of a few steps must not validate for minutes.
    limit = (1 + recipe.max_steps // 10) * run.part.replicas
    return batches.take(limit) if recipe.max_steps else batches


def _make_callbacks(recipe, plan, run, progress, contract, network, model, sources):
    chosen = []
    if recipe.ap_every:
        chosen.append(_measuring_callback(recipe, plan, contract, model))
    if recipe.max_steps:
        chosen.append(callbacks.StopAtStep(recipe.max_steps))
    averages = callbacks.ValidateAverages()

    def names_of_batch(number):
        train = sources["train"]
        order = person_order(train, recipe.seed)
        return train.names(indices_of_batch(order, number, plan.global_batch))

    return [
        averages,
        callbacks.StopAtNaN(run.folder, names_of_batch),
        callbacks.PlainMetricNames(),
        *chosen,
        *books(run.folder),
        callbacks.RunCheckpoint(
            run.folder,
            contract,
            progress,
            run.save_minutes,
            averages,
            network,
            callbacks.best_name_of(recipe.visibility),
        ),
    ]


def _measuring_callback(recipe, plan, contract, model):
    """Measures the first of the data set's metrics: ground-truth boxes, no flip test."""
    mix = _mix(recipe)
    name, folder, reading = validating_set(mix)
    settings = MeasureSettings(
        name, folder, "val", recipe.overfit_images or None, reading, only_main=True
    )
    split = PeopleSplit(open_measured(mix), settings, contract.skeleton)
    for line in split.remarks:
        print(line)
    print(
        f"measure     {split.figure} on {split.description}, every {recipe.ap_every} epochs"
    )
    measured = PoseModel.from_keras(model, contract)
    return callbacks.MeasureMetric(
        lambda: split.value_of(measured),
        recipe.ap_every,
        plan.epochs,
        f"val_{split.figure.lower()}",
    )


def _print_facts(recipe, plan, model, strategy, sources, progress: Progress):
    """Prints the plan of the run, before it takes hours."""
    mix = _mix(recipe)
    kind = f"from {recipe.data_dir or 'data/'}"
    if recipe.dataset == "synthetic" and recipe.data_dir is None:
        kind = "drawn now"
    counts = {split: len(source) for split, source in sources.items()}
    print(f"data set    {recipe.dataset}, {kind}: {counts} people")
    if recipe.overfit_images:
        print(
            "overfit     both are the first images of val: a score is of what was learned"
        )
    if not mix.is_single:
        if not recipe.overfit_images:  # they are of the validating set alone
            quotas = sources["train"].set_quotas.tolist()
            shares = dict(zip(mix.names, quotas, strict=True))
            print(f"mix         {shares} samples an epoch")
        print(f"validation  on {validating_name(mix)}")
    for line in label_remarks(sources["train"].skeleton, sources["train"].visibility):
        print(f"keypoints   {line}")
    print_facts(recipe, plan, model, strategy, progress)
    print(f"loss        {model.loss[-1].name} of {recipe.codec} targets")
    if has_visibility(model):
        alone = ", the only one that is trained" if recipe.visibility == "only" else ""
        print(f"visibility  a head for it{alone}")
        if not sources["train"].says_hidden.all():
            print("            without people whose flags call no keypoint hidden")
    if recipe.teacher:
        print(f"teacher     {recipe.teacher}, {recipe.teacher_share:g} of the loss")
    print(f"optimizer   {recipe.optimizer}, learning rate {recipe.learning_rate:g}")
    if recipe.quantization_aware:
        print("quantized   kernels and tensors are rounded to int8 while training")
