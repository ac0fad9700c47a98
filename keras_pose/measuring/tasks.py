"""The kinds of models that are measured, and what each is loaded and measured by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_pose.contracts.crowd_fields import CrowdContract
from keras_pose.contracts.detector import DetectorContract, ModelContract, is_detector
from keras_pose.contracts.detector_description import is_description
from keras_pose.contracts.pose import Contract
from keras_pose.measuring.box_split import BoxSplit
from keras_pose.measuring.crowd_split import CrowdSplit
from keras_pose.measuring.finding import Finder
from keras_pose.measuring.people_split import open_people
from keras_pose.measuring.settings import MeasureSettings
from keras_pose.measuring.split import Measured, Split
from keras_pose.runtime.crowd_model import is_of_crowd, load_crowd_model
from keras_pose.runtime.detector_model import is_bare, is_detector_name, load_detector
from keras_pose.runtime.loading import file_type, load_model
from keras_pose.skeleton import Skeleton
from keras_pose.weights.catalog import is_word
from keras_pose.weights.file_kinds import is_checkpoint
from keras_pose.weights.weight_files import file_of_word


@dataclass(frozen=True)
class Said:
    """Facts about weights that do not say them.

    Attributes:
        model: zoo name.
        num_keypoints: number of keypoints; None for the zoo's.
        input_hw: input (height, width), pixels; None for the zoo's.
        skeleton: the keypoints.
    """

    model: str | None = None
    num_keypoints: int | None = None
    input_hw: tuple[int, int] | None = None
    skeleton: Skeleton | None = None


NOTHING_SAID = Said()


def _load_pose(path, said: Said):
    return load_model(
        path, said.model, said.num_keypoints, said.input_hw, skeleton=said.skeleton
    )


def _load_crowd(path, said: Said):
    return load_crowd_model(path, said.model, said.num_keypoints, said.input_hw)


def _load_boxes(path, said: Said):
    return load_detector(path, model=said.model)


@dataclass(frozen=True)
class Task:
    """A kind of models.

    Attributes:
        name: name of the kind.
        contract: class of the contracts of its files.
        load: function from a file, and what is said of it, to its model.
        open: function from settings, the models' keypoints and the detector that finds
            people for them to a split.
        refused: options that have no use for the kind; fields of `MeasureSettings`, of
            `Said` and of the command line.
        why_refused: end of a sentence about them.
    """

    name: str
    contract: type
    load: Callable[[Any, Said], Any]
    open: Callable[[MeasureSettings, Any, Finder | None], Split]
    refused: tuple[str, ...] = ()
    why_refused: str = ""


POSE = Task(
    "networks that see one person at a time",
    Contract,
    _load_pose,
    open_people,
)
CROWD = Task(
    "networks that see whole pictures",
    CrowdContract,
    _load_crowd,
    lambda settings, *_: CrowdSplit(settings),
    ("flip_test", "box_padding", "boxes", "detector", "metrics", "skeleton", "sigmas"),
    "not for networks that see whole pictures, which are measured by COCO AP of everybody.",
)
DETECTOR = Task(
    "detectors",
    DetectorContract,
    _load_boxes,
    lambda settings, *_: BoxSplit(settings),
    ("flip_test", "box_padding", "boxes", "detector", "metrics", "plots", "skeleton",
     "num_keypoints", "input_hw"),
    "not for detectors.",
)  # fmt: skip
TASKS = (POSE, CROWD, DETECTOR)


def task_of(path, model: str | None = None) -> Task:
    """Returns the kind of a model file, by its contract, description or zoo name.

    Args:
        path: file of any type, or a word for official weights.
        model: zoo name, for weights that do not say it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a file of unknown type, or one without a contract.
    """
    is_official = is_word(str(path))
    if is_official or is_bare(path):
        finds_boxes = is_detector_name(model)
    else:
        finds_boxes = is_description(path)
        if not finds_boxes:
            file_type(path)  # refuses others
            finds_boxes = is_detector(path)
    if finds_boxes:
        return DETECTOR
    return CROWD if is_of_crowd(str(path) if is_official else path, model) else POSE


def common_task(paths: Sequence[Any], model: str | None = None) -> Task:
    """Returns the kind of several model files.

    Raises:
        ValueError: if they are of several kinds, and as `task_of`.
    """
    tasks = [task_of(path, model) for path in paths]
    if any(task is not tasks[0] for task in tasks):
        names = " and ".join(dict.fromkeys(task.name for task in tasks))
        raise ValueError(
            f"{names[0].upper()}{names[1:]} are not measured in one table: their "
            "protocols differ."
        )
    return tasks[0]


def file_of(path, model: str | None = None) -> Path:
    """Returns the file to load: that of official weights, if it is a word for them.

    Raises:
        ValueError: where the model has to be named.
    """
    if is_word(str(path)):
        if model is None:
            raise ValueError(f"The weights {path} need a model: add --model NAME.")
        return file_of_word(model, str(path))
    if is_checkpoint(path) and model is None:
        raise ValueError(f"{path} holds nothing but weights: add --model NAME.")
    return Path(path)


def open_split(
    contract: ModelContract, settings: MeasureSettings, finder: Finder | None = None
) -> Split:
    """Opens a split for models of one contract.

    Args:
        contract: description of the models. It decides the metric: box AP for detectors,
            AP of everybody for networks of whole pictures, else those of the data set.
        settings: the data, and how to measure.
        finder: detector that finds people for networks that see one at a time.

    Raises:
        ValueError: for an unknown data set, or one that does not fit.
        FileNotFoundError: when it is not there.
    """
    (task,) = (task for task in TASKS if isinstance(contract, task.contract))
    return task.open(settings, getattr(contract, "skeleton", None), finder)


def measure(
    path,
    settings: MeasureSettings,
    said: Said = NOTHING_SAID,
    finder: Finder | None = None,
    progress: bool = True,
) -> Measured:
    """Measures one model file.

    Args:
        path: file of any type, or a word for official weights.
        settings: the data, and how to measure.
        said: facts about weights that do not say them.
        finder: detector that finds people for networks that see one at a time.
        progress: True to show a bar, on a terminal.

    Raises:
        ValueError: for a file, data or settings that do not fit.
        FileNotFoundError: where the file or the data set is missing.
    """
    task = task_of(path, said.model)
    model = task.load(file_of(path, said.model), said)
    return task.open(settings, skeleton_of(model), finder).measure(model, path, progress)


def skeleton_of(model) -> Skeleton | None:
    """Returns the keypoints of a model; None for a detector."""
    contract = getattr(model, "contract", None)
    return getattr(contract, "skeleton", None)
