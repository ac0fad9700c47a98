"""Calibration images: real crops of the training set, cut as inference cuts them.

Which of many people are taken matters more than how many: a range that no crop reaches is
clipped for every picture afterwards. So people are chosen one after the other, always the
one who is least like those chosen already, by pose, size and lighting.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from keras_pose.contracts.detector import ModelContract
from keras_pose.contracts.pose import Contract
from keras_pose.data.sources import PersonSource, synthetic_source
from keras_pose.pictures.boxes import letterbox
from keras_pose.pictures.images import PICTURE_SUFFIXES, ImageError, read_image
from keras_pose.runtime.top_down_steps import crop_people

# Of the least alike, the first few are the oddest: with 4, one of them decided.
NUM_CHECK_CROPS = 12
CHOICES = ("spread", "random")
USUAL_CHOICE = "spread"
# Below this, ranges depend on the luck of the draw; measured in docs/export.md.
FEW_CROPS = 50
# Candidates that are looked at for each crop that is wanted: each costs a picture to read.
CANDIDATES_PER_CROP = 4


def calibration_crops(
    source: PersonSource,
    contract: ModelContract,
    count: int,
    seed: int = 0,
    choice: str = USUAL_CHOICE,
):
    """Cuts crops of some of the people.

    Args:
        source: people of the split that the model was trained on.
        contract: says how a crop is made.
        count: crops wanted; fewer if there are not as many people.
        seed: picks the people, or with "spread" the candidates and the first of them.
        choice: "spread" covers poses, sizes and lighting, see `farthest_points`; "random"
            takes anyone.

    Returns:
        (N, H, W, 3) uint8 RGB. People whose picture cannot be read are passed over, with
        a warning that counts and names such pictures.

    Raises:
        ValueError: for a count below 1, a source without people, or another choice.
        images.ImageError: when no picture can be read.
    """
    if count < 1 or not len(source):
        raise ValueError(
            f"Calibration needs at least 1 crop and 1 person, got count={count} and "
            f"{len(source)} people."
        )
    if choice not in CHOICES:
        raise ValueError(f"choice must be one of {CHOICES}, got {choice!r}.")
    indices = np.random.default_rng(seed).permutation(len(source))
    if choice == "random":
        return _cut(source, contract, indices, count)[0]
    crops, candidates = _cut(source, contract, indices, count * CANDIDATES_PER_CROP)
    features = np.hstack([pose_features(source, candidates), light_features(crops)])
    return crops[farthest_points(features, count)]


def folder_crops(folder, contract: ModelContract, count: int, seed: int = 0):
    """Reads crops that other programs have cut: all pictures in a folder.

    Args:
        folder: folder of pictures of the model's input size.
        contract: says which that is.
        count: crops wanted, those least like each other in their lighting; all if there
            are fewer.
        seed: picks the first of them.

    Returns:
        (N, H, W, 3) uint8 RGB.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if there is no picture in it, or one of another size.
        images.ImageError: if no picture can be read. (Some that cannot are left out, with
            a warning.)
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"Calibration folder {folder} does not exist.")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
    if not paths:
        raise ValueError(
            f"Calibration folder {folder} must hold pictures (.jpg, .png, ...); "
            f"got {len(list(folder.iterdir()))} entries, none of them one."
        )
    read, broken = [], []
    for path in paths:
        try:
            read.append(_read_crop(path, contract.input_hw))
        except ImageError as error:
            broken.append(error)
    _warn_of_broken(broken, is_anything_left=bool(read))
    crops = np.stack(read)
    if len(crops) <= count:
        return crops
    order = np.random.default_rng(seed).permutation(len(crops))
    return crops[order][farthest_points(light_features(crops[order]), count)]


def check_calibration(crops, input_hw) -> None:
    """Raises ValueError unless crops can calibrate a network of this input size."""
    expected = (int(input_hw[0]), int(input_hw[1]), 3)
    shape, dtype = np.shape(crops), np.asarray(crops).dtype
    if len(shape) != 4 or shape[0] == 0 or shape[1:] != expected or dtype != np.uint8:
        raise ValueError(
            f"Calibration needs at least 1 crop, (N, {expected[0]}, {expected[1]}, 3) "
            f"uint8, got {shape} {dtype}."
        )


def warn_if_few(count: int) -> None:
    """Warns of a calibration set too small to know what the network will meet."""
    if count < FEW_CROPS:
        warnings.warn(
            f"Calibrating on {count} crops only: below {FEW_CROPS}, ranges depend on the "
            "luck of the draw. Take more (--calibration-images, --data-dir).",
            stacklevel=2,
        )


def check_crops(contract: ModelContract):
    """Cuts a few synthetic people, to compare a file with its model where no data is."""
    source = synthetic_source(NUM_CHECK_CROPS)
    return calibration_crops(source, contract, NUM_CHECK_CROPS, choice="random")


def pose_features(source: PersonSource, indices):
    """Describes how people stand, and how large they are.

    Returns:
        (N, 2 K + 2) float64: keypoints in their boxes, from 0 to 1, the middle where not
        labelled; height over width and size of the box, as logarithms.
    """
    boxes = np.asarray(source.boxes_xywh, np.float64)[indices]
    sizes = np.maximum(boxes[:, 2:], 1.0)
    points = np.asarray(source.keypoints_xy, np.float64)[indices]
    places = (points - boxes[:, None, :2]) / sizes[:, None]
    is_labelled = np.asarray(source.visibility)[indices] > 0
    places = np.where(is_labelled[..., None], np.clip(places, -0.5, 1.5), 0.5)
    aspect = np.log(sizes[:, 1] / sizes[:, 0])
    area = np.log(sizes.prod(axis=1)) / 2
    return np.hstack([places.reshape(len(places), -1), np.stack([aspect, area], axis=1)])


def light_features(crops):
    """Describes light and colour: (N, 6) mean and spread of each channel, from 0 to 1."""
    pixels = np.asarray(crops).reshape(len(crops), -1, 3)
    return np.hstack([pixels.mean(axis=1), pixels.std(axis=1)]) / 255


def farthest_points(features, count: int):
    """Chooses points that cover all: each is the farthest from those chosen before.

    Source: Gonzalez 1985, "Clustering to minimize the maximum intercluster distance".

    Args:
        features: (N, D); each of the D is scaled to a standard deviation of 1.
        count: number of points to choose; all if there are fewer.

    Returns:
        (min(count, N),) int indices; the first is 0.
    """
    features = np.asarray(features, np.float64)
    spread = features.std(axis=0)
    scaled = (features - features.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0)
    chosen = [0]
    distance = np.full(len(scaled), np.inf)
    while len(chosen) < min(count, len(scaled)):
        distance = np.minimum(distance, np.linalg.norm(scaled - scaled[chosen[-1]], axis=1))
        distance[chosen] = -1.0  # doubles are taken last, but none twice
        chosen.append(int(distance.argmax()))
    return np.array(chosen)


def _read_crop(path: Path, input_hw):
    image = read_image(path)
    if image.shape[:2] != tuple(input_hw):
        raise ValueError(
            f"Calibration crops must be of the model's input size, {input_hw[0]}x"
            f"{input_hw[1]} (height x width); {path} is {image.shape[0]}x{image.shape[1]}. "
            "For pictures with labels name a data set: --dataset and --data-dir."
        )
    return image


def _cut(source: PersonSource, contract: ModelContract, indices, count: int):
    """Cuts the first `count` of some people whose pictures can be read.

    Returns:
        (N, H, W, 3) uint8 crops, and the (N,) indices they are of.
    """
    crops: list[np.ndarray] = []
    used = []
    broken: dict[int, ImageError] = {}  # by the number of the picture
    for index in indices:
        if len(crops) == count:
            break
        try:
            crops.append(_crop(source.load(int(index)), contract))
            used.append(index)
        except ImageError as error:
            broken[int(source.image_index[index])] = error
    _warn_of_broken(list(broken.values()), is_anything_left=bool(crops))
    return np.concatenate(crops), np.array(used)


def _warn_of_broken(errors: list[ImageError], is_anything_left: bool) -> None:
    if not errors:
        return
    if not is_anything_left:
        raise ImageError(f"No picture to calibrate on can be read. {errors[0]}")
    warnings.warn(
        f"Calibration goes without {len(errors)} pictures that cannot be read: {errors[0]}",
        stacklevel=3,
    )


def _crop(sample, contract: ModelContract):
    if not isinstance(contract, Contract):  # networks that see whole pictures
        return letterbox(sample.image, contract.input_hw)[0][None]
    crops, _ = crop_people(sample.image, sample.box_xywh[None], contract)
    return crops
