"""Pictures to look at: what training sees, and whom a model gets right and wrong."""

from __future__ import annotations

import numpy as np

from keras_pose.codecs import CODECS
from keras_pose.data.pipeline import training_dataset
from keras_pose.data.sources import PersonSource
from keras_pose.metrics.evaluator import EvaluationResult
from keras_pose.metrics.official import person_similarities
from keras_pose.pictures.drawing import draw_poses, side_by_side
from keras_pose.pictures.images import read_labelled
from keras_pose.pictures.normalization import Normalization
from keras_pose.pictures.structures import Poses
from keras_pose.skeleton import Skeleton
from keras_pose.trainer.recipes import Recipe
from keras_pose.zoo import get_spec

# Leaves pixels as they are.
_NO_NORMALIZATION = Normalization((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))
# Places of a ranking of people.
PLACES = ("worst", "median", "best")
_MARGIN = 0.25  # of a person's box, on every side
_HEAT_COLOR = np.array([255, 80, 0], np.float32)


def training_pictures(recipe: Recipe, source: PersonSource, count: int) -> list[np.ndarray]:
    """Draws the first samples of a run: crops with the keypoints and maps of their targets.

    They come out of the pipeline that training reads, so they show what augmentation
    does, and what is left of the labels once they are targets. Keypoints without weight
    in the loss are not drawn.

    Args:
        recipe: its codec, input size, augmentation and seed count.
        source: the people.
        count: number of people.

    Returns:
        (H, W, 3) uint8 RGB pictures; where targets are heatmaps, the crop twice: with
        keypoints, and with the maps laid over it.
    """
    codec = CODECS[recipe.codec].for_input(recipe.input_hw, get_spec(recipe.model).stride)
    batches = training_dataset(
        source, codec, _NO_NORMALIZATION, recipe.augmentation, count, seed=recipe.seed
    )
    images, targets, weights = (part.numpy() for part in next(iter(batches)))
    crops = np.clip(np.round(images), 0, 255).astype(np.uint8)
    crop_xy, _ = codec.decode(targets)
    pictures = []
    for crop, points_xy, weight, target in zip(
        crops, crop_xy, weights, targets, strict=True
    ):
        drawn = draw_poses(crop, _one_person(points_xy, weight, source.skeleton))
        if codec.output_name == "heatmaps":
            drawn = np.concatenate([drawn, overlay_heatmaps(crop, target)], axis=1)
        pictures.append(drawn)
    return pictures


def overlay_heatmaps(crop, heatmaps) -> np.ndarray:
    """Lays the highest of K maps over a crop.

    Args:
        crop: (H, W, 3) uint8 RGB.
        heatmaps: (h, w, K) float32; 1 covers the crop.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    import cv2

    height, width = crop.shape[:2]
    highest = np.ascontiguousarray(heatmaps.max(axis=-1), np.float32)
    alpha = cv2.resize(highest, (width, height), interpolation=cv2.INTER_LINEAR)
    alpha = np.clip(alpha, 0, 1)[..., None]
    return (0.6 * crop * (1 - alpha) + _HEAT_COLOR * alpha).astype(np.uint8)


def ranked_pictures(
    result: EvaluationResult, count: int, place: str, threshold: float = 0.2
) -> tuple[list[np.ndarray], list[str]]:
    """Draws people by how well they were predicted, labels beside predictions.

    Args:
        result: evaluation in ground-truth boxes.
        count: number of people; fewer where there are fewer with labels.
        place: key of `PLACES`: "worst" first, "best" first, or those in the middle of the
            ranking ("median"), worse ones first.
        threshold: predicted keypoints whose score is not above it are not drawn.

    Returns:
        pictures: (H, W, 3) uint8 RGB, labels on the left, prediction on the right.
        captions: OKS (PCK for skeletons without sigmas) and the image's id.

    Raises:
        ValueError: for an evaluation in a detector's boxes, or an unknown place.
    """
    if place not in PLACES:
        raise ValueError(f"place must be one of {', '.join(PLACES)}, got {place!r}.")
    measured = result.measured
    rated = person_similarities(measured)
    order = np.argsort(-rated if place == "best" else rated, kind="stable")
    ranked = [i for i in order if not np.isnan(rated[i])]
    start = max(0, (len(ranked) - count) // 2) if place == "median" else 0
    chosen = ranked[start : start + count]
    kind = "OKS" if measured.skeleton.oks_sigmas else "PCK"
    captions = [
        f"label | model: {kind} {rated[i]:.2f}, image {measured.records[i].image_id}"
        for i in chosen
    ]
    return [_pair(measured, i, threshold) for i in chosen], captions


def _pair(measured, index, threshold):
    """Cuts a person out of the image, once with the labels, once with the prediction."""
    record, skeleton = measured.records[index], measured.skeleton
    image = read_labelled(record.image_path, record.image_hw)
    corner, far = _window(record, image.shape[:2])
    crop = np.ascontiguousarray(image[corner[1] : far[1], corner[0] : far[0]])
    labelled = _one_person(record.keypoints_xy - corner, record.visibility > 0, skeleton)
    predicted = _one_person(
        measured.keypoints_xy[index] - corner, measured.keypoint_scores[index], skeleton
    )
    return side_by_side(
        [draw_poses(crop, labelled), draw_poses(crop, predicted, threshold=threshold)],
        height=280,
        gap=4,
    )


def _window(record, image_hw):
    """Returns the corners of what is shown of an image: the box, and some more."""
    corner, size = record.box_xywh[:2], record.box_xywh[2:]
    margin = _MARGIN * size.max()
    limit = np.array(image_hw[::-1])
    low = np.clip(np.floor(corner - margin).astype(int), 0, limit - 1)
    high = np.clip(np.ceil(corner + size + margin).astype(int), low + 1, limit)
    return low, high


def _one_person(points_xy, scores, skeleton: Skeleton) -> Poses:
    points_xy, scores = np.asarray(points_xy), np.asarray(scores, np.float32)
    box = np.concatenate([points_xy.min(axis=0), points_xy.max(axis=0)])
    return Poses(box[None], points_xy[None], scores[None], np.ones(1), skeleton)
