"""Data sets as a task is given them: a folder, or the words of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from keras_pose.data.datasets import DEFAULT_DIRS, find_coco
from keras_pose.data.mixing import parse_mix, target_skeleton
from keras_pose.data.own import is_own, own_skeleton
from keras_pose.skeleton import COCO_17, Skeleton

# The name of a folder's set where none is given.
OWN_NAME = "mine"


@dataclass(frozen=True)
class NamedSet:
    """A data set with its folder.

    Attributes:
        name: name of the set, such as "coco", or one of the user's own.
        data_dir: folder; None for people that are drawn.
    """

    name: str
    data_dir: str | None

    @property
    def words(self) -> tuple[str, str | None]:
        """What recipes call it: a name of one's own stands with its folder."""
        if is_own(self.name):
            return f"{self.name}={self.data_dir}", None
        return self.name, self.data_dir

    @property
    def skeleton(self) -> Skeleton:
        """Keypoints that its labels name."""
        return target_skeleton(parse_mix(*self.words))


def name_set(data: str | Path, dataset: str | None = None) -> NamedSet:
    """Reads what a user says of a data set.

    Args:
        data: folder of labels, in COCO's format or a tool's own; or words such as "coco",
            "mine=FOLDER" and "synthetic".
        dataset: name of the folder's set; by default "coco" for one that has
            COCO's files and keypoints, and "mine" for others.

    Raises:
        FileNotFoundError: for a folder that is not there, or without labels.
        ValueError: for words that name no data set, and for several.
    """
    if not isinstance(data, str | Path):
        raise ValueError(
            "Data are the folder of a labelled set, the name of one, or (to train on) a "
            f"tf.data.Dataset; got {type(data).__name__}."
        )
    folder = Path(data).expanduser()
    if folder.is_dir():
        return NamedSet(dataset or _name_of(folder), str(folder))
    if isinstance(data, Path) or {"/", "\\"} & set(data.partition("=")[0]):
        raise FileNotFoundError(f"The folder {data} of a labelled set does not exist.")
    mix = parse_mix(data)
    if not mix.is_single:
        raise ValueError(
            f"A task takes one data set at a time, got {', '.join(mix.names)}. "
            "(training/train.py mixes several.)"
        )
    name, home = mix.names[0], mix.data_dirs[0]
    if home is None and not is_own(name) and name != "synthetic":
        home = str(DEFAULT_DIRS[name])
    return NamedSet(name, home)


def _name_of(folder: Path) -> str:
    has_coco_files = find_coco(folder, "train") or find_coco(folder, "val")
    if has_coco_files and own_skeleton(OWN_NAME, folder) == COCO_17:
        return "coco"
    return OWN_NAME
