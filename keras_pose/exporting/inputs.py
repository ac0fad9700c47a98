"""The model to export and the people to calibrate on, made from command-line choices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_pose.contracts.activation_ranges import read_ranges, set_ranges
from keras_pose.contracts.detector import (
    ModelContract,
    is_detector,
    read_detector_contract,
)
from keras_pose.data.datasets import DEFAULT_DIRS, SPECS, open_for_skeleton
from keras_pose.data.mixing import UNION, open_train, parse_mix
from keras_pose.data.own import is_own
from keras_pose.data.readers.coco import AS_WRITTEN, Reading
from keras_pose.data.sources import (
    PersonSource,
    mix_sources,
    records_source,
    synthetic_source,
)
from keras_pose.files import read_json
from keras_pose.files.runs import RECIPE_NAME, newest_checkpoint
from keras_pose.runtime.crowd_model import is_of_crowd, load_keras_crowd
from keras_pose.runtime.detector_model import is_detector_name, read_bare_detector
from keras_pose.runtime.keras_backend import load_network
from keras_pose.runtime.loading import check_keypoints, load_keras
from keras_pose.skeleton import SKELETONS, Skeleton, is_numbered
from keras_pose.weights.catalog import is_word

NUM_SYNTHETIC_SCENES = 200


@dataclass(frozen=True)
class ExportSource:
    """A trained model to export.

    Attributes:
        path: the file it came from; for official weights, a name for them in the
            current folder.
        model: the `keras.Model`.
        contract: input and outputs of the model.
        recipe: recipe of its training; {} where that is not known.
    """

    path: Path
    model: Any
    contract: ModelContract
    recipe: dict[str, Any]

    def default_output(self, kind: str, suffix: str) -> Path:
        """Returns the default path of an exported file."""
        return self.path.parent / "export" / kind / f"pose_model{suffix}"


def open_source(
    weights=None,
    runs_dir="runs",
    model=None,
    num_keypoints=None,
    input_hw=None,
    skeleton: Skeleton | None = None,
) -> ExportSource:
    """Loads the model to export, and says which.

    Args:
        weights: `.keras` or `.weights.h5` file, or a word that `create_model` takes; None
            for the newest run's.
        runs_dir: folder of the runs.
        model: zoo name, for `.weights.h5`, as are `num_keypoints` and `input_hw`.
        skeleton: names of the keypoints, of weights that do not say them.

    Raises:
        FileNotFoundError: if there is no such file, or no run.
        ValueError: see `runtime.load_model`.
    """
    if weights is None:
        path = newest_checkpoint(runs_dir)
        print(f"Exporting {path}, of the newest run in {runs_dir}.")
    else:
        path = Path(f"{model}-{weights}") if is_word(weights) else Path(weights)
        print(f"Exporting {path}.")
    if path.suffix == ".keras" and is_detector(path):
        network, contract = _open_detector(path, model, num_keypoints, input_hw)
    elif is_detector_name(model):
        network, contract = read_bare_detector(weights or path, model, input_hw)
    elif is_of_crowd(weights or path, model):
        network, contract = load_keras_crowd(
            weights or path, model, num_keypoints, input_hw
        )
    else:
        network, contract = load_keras(
            weights or path, model, num_keypoints, input_hw, skeleton
        )
        check_keypoints(contract, skeleton, path)
    set_ranges(network, read_ranges(path))
    recipe = path.with_name(RECIPE_NAME)
    return ExportSource(
        path, network, contract, read_json(recipe) if recipe.exists() else {}
    )


def _open_detector(path: Path, model, num_keypoints, input_hw):
    """Returns a detector and its contract; what was asked for must agree with it."""
    contract = read_detector_contract(path)
    actual = {"model": contract.model, "input_hw": tuple(contract.input_hw)}
    asked = {"model": model, "input_hw": input_hw and tuple(input_hw)}
    for name, value in asked.items():
        if value is not None and value != actual[name]:
            raise ValueError(
                f"{path} was asked for as {name}={value!r}, but its contract says "
                f"{actual[name]!r}."
            )
    if num_keypoints is not None:
        raise ValueError(f"{path} is a detector, which has no num_keypoints.")
    return load_network(path), contract


def calibration_source(
    recipe: dict[str, Any],
    dataset: str | None = None,
    data_dir=None,
    skeleton: Skeleton | None = None,
    reading: Reading | None = None,
) -> tuple[PersonSource, str]:
    """Opens the people to calibrate on: those the model was trained on, if they are there.

    Args:
        recipe: recipe of the run; {} where there is none.
        dataset: name of another set to calibrate on instead.
        data_dir: its folder; None for its usual one, or people drawn on the fly.
        skeleton: keypoints of the model, which opens files with keypoints of one's own;
            None for detectors.
        reading: options of the user for a file in COCO's format; None for the recipe's.

    Returns:
        The people, and words for what they are, to be printed.

    Raises:
        FileNotFoundError: if the data set that was asked for is not there. That of
            the recipe may be gone; synthetic people then take its place.
        ValueError: for an unknown data set.
    """
    if dataset is not None or data_dir is not None:
        dataset = dataset or recipe.get("dataset", "coco")
        return _open_people(dataset, data_dir, recipe, skeleton, reading)
    if "dataset" not in recipe:
        people, description = _open_people("synthetic", None, recipe)
        return people, f"{description}, as it is not known what the model was trained on"
    try:
        folder = recipe.get("data_dir")
        return _open_people(recipe["dataset"], folder, recipe, skeleton, reading)
    except (FileNotFoundError, ValueError) as error:
        people, description = _open_people("synthetic", None, recipe)
        return people, f"{description}, INSTEAD of the training set ({error})"


def skeleton_of(contract: ModelContract) -> Skeleton | None:
    """Returns the keypoints that a model predicts; None for detectors."""
    return getattr(contract, "skeleton", None)


def _open_people(
    name, data_dir, recipe, skeleton=None, reading=None
) -> tuple[PersonSource, str]:
    if name == "synthetic" and data_dir is None:
        seed = recipe.get("seed", 0)
        return synthetic_source(NUM_SYNTHETIC_SCENES, seed), "synthetic people, drawn now"
    trained = recipe.get("skeleton")
    # Runs used to name the file of their skeleton, which need not have come along.
    if isinstance(trained, str) and trained not in SKELETONS and trained != UNION:
        trained = trained if Path(trained).is_file() else None
    if reading is None:
        reading = Reading(recipe.get("category"), recipe.get("rescale_labels", False))
    mix = parse_mix(name, data_dir, skeleton=trained, reading=reading)
    has_own_name = is_own(mix.names[0])
    if skeleton is not None and is_numbered(skeleton):
        skeleton = None  # pictures and boxes are all that a calibration needs
    if trained is None and skeleton is not None and mix.is_single and not has_own_name:
        if not SPECS[name].has_coco_file:
            reading = AS_WRITTEN
        datasets = [open_for_skeleton(name, mix.data_dirs[0], "train", skeleton, reading)]
    else:
        datasets = open_train(mix)
    source = mix_sources(
        [records_source(dataset.records, dataset.skeleton) for dataset in datasets]
    )
    folder = data_dir or ", ".join(
        str(given or DEFAULT_DIRS[name])
        for name, given in zip(mix.names, mix.data_dirs, strict=True)
    )
    return source, f"the train split of {name} in {folder}"
