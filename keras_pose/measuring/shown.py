"""What an app shows of pictures whose people are known, and the threshold it should have.

AP ranks all that is proposed; an app draws what lies above a threshold, all of it alike. So
a threshold is right where most of what is drawn is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from keras_pose.data.mixing import for_model, open_set_for
from keras_pose.inference.pose_nms import different_people
from keras_pose.measuring.settings import MeasureSettings
from keras_pose.metrics.broken_images import BrokenImages
from keras_pose.metrics.person_counts import PersonCounts, count_all
from keras_pose.pictures.structures import Poses

# Share of the skeletons drawn that should be of somebody.
RIGHT_SHARE = 0.7
THRESHOLDS = tuple(np.arange(20, 81) / 100)


class Shown(NamedTuple):
    """What was found in one picture, and who is there.

    Attributes:
        scores: (N,), of the boxes.
        poses: poses in these boxes.
        labels: labelled people, as `person_counts.count_people` takes them.
    """

    scores: np.ndarray
    poses: Poses
    labels: tuple[np.ndarray, np.ndarray, np.ndarray]


def find_people(estimator, settings: MeasureSettings) -> Iterator[Shown]:
    """Finds people and their poses in the pictures of a split in which some are labelled.

    Broken pictures are left out and named at the end.

    Args:
        estimator: the `PoseEstimator`; its `box_threshold` is the lowest score that counts.
        settings: the data: set, folder, split, limit, reading.

    Raises:
        ValueError: for an unknown data set, or one that does not fit.
        FileNotFoundError: when it is not there.
    """
    skeleton = estimator.skeleton
    dataset = for_model(open_set_for(*settings.where, skeleton, settings.reading), skeleton)
    images: dict = {}
    for record in dataset.in_first_images(settings.limit).records:
        images.setdefault(record.image_path, []).append(record)
    broken = BrokenImages()
    for path, people in tqdm(images.items(), unit="image", disable=None):
        image = broken.read(path, people[0].image_hw)
        if image is None:
            continue
        found = estimator.find_people(image)
        poses = estimator.estimate(image, found.boxes_xyxy, found.scores)
        labels = (
            np.stack([record.keypoints_xy for record in people]),
            np.stack([record.visibility > 0 for record in people]),
            np.array([record.area for record in people]),
        )
        yield Shown(found.scores, poses, labels)
    broken.warn()


def count_shown(
    seen: Iterable[Shown], box_threshold: float, nms_threshold: float
) -> PersonCounts:
    """Counts what an app with these thresholds shows.

    Args:
        seen: pictures, see `find_people`.
        box_threshold: score of a box that a person must exceed.
        nms_threshold: OKS of two poses above which only the better one is shown.
    """
    pairs = []
    for scores, poses, labels in seen:
        above = poses[scores > box_threshold]
        pairs.append((above[different_people(above, nms_threshold)], labels))
    return count_all(pairs)


def choose_threshold(
    seen: list[Shown], nms_threshold: float, least_share: float = RIGHT_SHARE
) -> tuple[float, PersonCounts]:
    """Returns the lowest threshold at which enough of what is shown is right.

    Where none is high enough, that with the greatest share.

    Args:
        seen: pictures, see `find_people`, with boxes down to the lowest of `THRESHOLDS`.
        nms_threshold: OKS as in `count_shown`.
        least_share: share of the skeletons that are to be of a labelled person.

    Returns:
        The threshold, and what is shown with it.
    """
    counts = {x: count_shown(seen, x, nms_threshold) for x in THRESHOLDS}
    for threshold, count in counts.items():
        if count.right_share >= least_share:
            return threshold, count
    best = max(counts, key=lambda threshold: counts[threshold].right_share)
    return best, counts[best]
