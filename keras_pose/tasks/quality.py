"""Models by how good they are to be: what `keras-pose predict --quality` runs.

What is downloaded is said, and fetched, before a network is built.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_pose.shipped import POSE, shipped_file
from keras_pose.tasks.presets import (
    announce,
    detector_preset,
    is_downloaded,
    pose_preset,
    where_to_put,
)
from keras_pose.weights.catalog import CatalogEntry
from keras_pose.weights.download import DownloadError, fetch


@dataclass(frozen=True)
class Quality:
    """A pair of models.

    Attributes:
        pose: preset of the pose network; None for the one that comes with the package.
        detector: preset of the detector of people; likewise.
    """

    pose: str | None = None
    detector: str | None = None


# RTMPose-l rather than ViTPose-B, whose reported AP is lower at four times the work.
QUALITIES = {
    "fast": Quality(),
    "good": Quality("rtmpose_s_coco_aic", "rtmdet_nano_person"),
    "best": Quality("rtmpose_l_coco_aic", "rtmdet_m_person"),
}


def files_of_quality(name: str, finds_people: bool = True) -> tuple[Path, Path | None]:
    """Returns the files of the pose network and of the detector, downloaded if need be.

    Sizes and licences are printed before anything is downloaded.

    Args:
        name: key of `QUALITIES`.
        finds_people: False where people are found otherwise, so that no detector is
            needed.

    Returns:
        The file of the pose network, and that of the detector; None for the detector that
        comes with the package.

    Raises:
        ImportError: for official weights where TensorFlow is not installed.
        weights.download.DownloadError: if something cannot be had; names all that is to
            be fetched by hand, and where it goes.
    """
    quality = QUALITIES[name]
    detector = quality.detector if finds_people else None
    if quality.pose is None:
        return shipped_file(POSE), None
    _check_tensorflow(name)
    entries = [pose_preset(quality.pose)]
    if detector is not None:
        entries.append(detector_preset(detector))
    people = f", people by {detector}" if detector else ""
    print(f"quality     {name}: {quality.pose}{people}", flush=True)
    fetch_all(entries)
    from keras_pose.weights.weight_files import converted_file

    paths = [converted_file(entry) for entry in entries]
    return paths[0], paths[1] if detector else None


def fetch_all(entries: Sequence[CatalogEntry]) -> None:
    """Downloads what is not here yet, after saying sizes and licences of all of it.

    Raises:
        weights.download.DownloadError: at the first that cannot be had; names all that
            are missing.
    """
    missing = [entry for entry in entries if not is_downloaded(entry)]
    announce(missing)
    for entry in missing:
        try:
            fetch(entry)
        except DownloadError as error:
            left = [each for each in missing if not is_downloaded(each)]
            lines = "\n  ".join(map(where_to_put, left))
            raise DownloadError(
                f"{error}\nAll that is to be fetched:\n  {lines}"
            ) from error


def _check_tensorflow(name: str) -> None:
    if importlib.util.find_spec("tensorflow") is None:
        raise ImportError(
            f"--quality {name} runs official weights in TensorFlow, which is not "
            "installed: pip install 'keras-pose[train]'. (--quality fast needs none.)"
        )
