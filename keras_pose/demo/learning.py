"""A small network learns drawn people, becomes a file of integers, and is measured.

Not a good model: one that visibly learned, within minutes, on a laptop's processor.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from tqdm import tqdm

from keras_pose.data import PoseDataset, open_dataset
from keras_pose.data.sources import records_source
from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.data.transforms import Augmentation
from keras_pose.demo.steps import describe_seconds
from keras_pose.exporting.commands.export_report import describe_export
from keras_pose.exporting.formats.table import export_formats
from keras_pose.exporting.inputs import open_source
from keras_pose.exporting.quantization.calibration import calibration_crops
from keras_pose.files.runs import BEST_NAME
from keras_pose.inference import PoseEstimator
from keras_pose.measuring import MeasureSettings
from keras_pose.measuring.people_split import PeopleSplit
from keras_pose.metrics.protocol import Measurement, comparison_table
from keras_pose.pictures.drawing import contact_sheet, draw_poses
from keras_pose.pictures.geometry import xywh_to_xyxy
from keras_pose.pictures.images import read_image, write_image
from keras_pose.runtime import load_model
from keras_pose.trainer.fit import fit
from keras_pose.trainer.recipes import Recipe, get_recipe

PICTURE_HW = (192, 192)
NUM_DRAWN_BEFORE_ESTIMATE = 60
NUM_STEPS_BEFORE_ESTIMATE = 20
NUM_SHOWN = 12


@dataclass(frozen=True)
class Size:
    """Amount of work of the demo; the least that visibly learns.

    Attributes:
        train_images, val_images: pictures drawn.
        epochs: passes through the people of `train_images`.
        input_hw: model input (height, width), pixels.
        batch_size: people a step.
        calibration_crops: crops that give int8 its ranges.
    """

    train_images: int = 1000
    val_images: int = 120
    epochs: int = 5
    input_hw: tuple[int, int] = (96, 64)
    batch_size: int = 16
    calibration_crops: int = 100


def draw_people(folder, size: Size) -> None:
    """Draws the pictures to learn from, and those to measure on; those there are stay."""
    for split, count in (("train", size.train_images), ("val", size.val_images)):

        def progress(numbers, split=split):
            return _told(numbers, f"pictures of {split}")

        write_coco_dataset(folder, count, 0, split, PICTURE_HW, progress)


def make_recipe(folder, size: Size) -> Recipe:
    """Returns the recipe of the demo: pose_slim's own, cut short.

    Drawn people come in every size, light and pose, so few of them are seen twice alike
    with hardly any augmentation.
    """
    return get_recipe("pose_slim", "synthetic").override(
        data_dir=str(folder),
        input_hw=size.input_hw,
        epochs=size.epochs,
        batch_size=size.batch_size,
        learning_rate=4e-3,
        warmup_steps=60,
        augmentation=Augmentation(
            scale=0.1,
            rotation_degrees=5,
            rotation_probability=0.3,
            half_body_probability=0.0,
            color=0.0,
        ),
    )


def train(recipe: Recipe, run_dir) -> Path:
    """Trains, says early how long it will take, and returns the best weights' path."""
    return Path(fit(recipe, run_dir, watchers=[TimeEstimate()])) / BEST_NAME


def quantize(weights: Path, people: PoseDataset, size: Size) -> Path:
    """Makes an int8 `.tflite` file of trained weights, and returns its path."""
    source = open_source(str(weights))
    crops = calibration_crops(
        records_source(people.records, people.skeleton),
        source.contract,
        size.calibration_crops,
    )
    paths = {"int8": source.default_output("int8", ".tflite")}
    export = export_formats(source.model, source.contract, paths, crops)["int8"]
    print(describe_export(export, source.path, source.model))
    return export.path


def measure(files: Iterable[Path], people: PoseDataset) -> list[Measurement]:
    """Measures model files on labelled people, by the metric of their data set."""
    settings = MeasureSettings(people.name, split=people.split)
    measured = []
    for path in files:
        model = load_model(path)
        split = PeopleSplit(people, settings, model.contract.skeleton)
        measured.append(split.measure(model, path).measurement)
    return measured


def describe(measured: list[Measurement]) -> str:
    """Returns the table of float beside int8, and what the difference means."""
    figure = next(iter(measured[0].stats))
    before = measured[0].stats[figure]
    drop = measured[0].drop(measured[1])
    said = f"loses {drop:.3f}" if drop > 0 else f"loses nothing (+{abs(drop):.3f})"
    return (
        f"{comparison_table(measured)}\n\nint8 {said} of {before:.3f} {figure}; its file "
        f"has {measured[1].protocol.file_bytes / measured[0].protocol.file_bytes:.0%} of "
        "the size."
    )


def draw_learned(weights: Path, people: PoseDataset, output) -> Path:
    """Draws people that the network has never seen, found by their labelled boxes."""
    estimator = PoseEstimator(load_model(weights))
    groups: dict[Path, list[Any]] = {}
    for record in people.records:
        groups.setdefault(record.image_path, []).append(record)
    drawings = []
    for path in sorted(groups)[:NUM_SHOWN]:
        image = read_image(path, honour_exif=False)
        boxes = xywh_to_xyxy([record.box_xywh for record in groups[path]])
        drawings.append(draw_poses(image, estimator(image, boxes)))
    return write_image(output, contact_sheet(drawings, 4, cell_hw=(320, 320)))


def open_people(folder, split: str) -> PoseDataset:
    """Opens the labelled people that were drawn."""
    return open_dataset("synthetic", folder, split)


class TimeEstimate(keras.callbacks.Callback):
    """Prints after a few steps how long a step takes on this machine, and all of them."""

    def __init__(self):
        super().__init__()
        self._num_steps = NUM_STEPS_BEFORE_ESTIMATE
        self._num_seen = 0
        self._started = 0.0

    def on_train_batch_end(self, batch, logs=None):
        self._num_seen += 1
        # The first step builds the graph.
        if self._num_seen == 1:
            self._started = time.perf_counter()
        if self._num_seen == self._num_steps:
            seconds = (time.perf_counter() - self._started) / (self._num_steps - 1)
            total = self.params["steps"] * self.params["epochs"]
            left = seconds * (total - self._num_steps)
            print(
                f"\nmeasured    a step takes {seconds:.2f} s here: {total} of them, "
                f"{describe_seconds(left)} to go",
                flush=True,
            )


def _told(numbers: range, title: str) -> Iterator[int]:
    """Yields numbers, with a bar, and says after a few of them how long all will take."""
    started = time.perf_counter()
    with tqdm(numbers, title, unit=" picture", disable=None) as bar:
        for done, number in enumerate(bar):
            if done == NUM_DRAWN_BEFORE_ESTIMATE:
                each = (time.perf_counter() - started) / done
                left = describe_seconds(each * (len(numbers) - done))
                bar.write(f"measured    {len(numbers)} {title}: {left} to go")
            yield number
