"""Recognition of the labelling tool that wrote a folder, by its files."""

from __future__ import annotations

from pathlib import Path

from keras_pose.data.readers.cvat import find_cvat, read_cvat
from keras_pose.data.readers.deeplabcut import find_deeplabcut, read_deeplabcut
from keras_pose.data.readers.label_studio import (
    find_label_studio,
    is_label_studio,
    read_label_studio,
)
from keras_pose.data.readers.labelme import find_labelme, is_labelme, read_labelme
from keras_pose.data.readers.labels import Labels
from keras_pose.data.readers.yolo import find_yolo, read_yolo

_TOOLS = (
    (find_cvat, read_cvat),
    (find_yolo, read_yolo),
    (find_label_studio, read_label_studio),
    (find_labelme, read_labelme),
    (find_deeplabcut, read_deeplabcut),
)
READ = (
    "COCO's format, CVAT's XML 1.1, YOLO-pose, Label Studio's JSON, labelme's JSON and "
    "DeepLabCut's CSV"
)


def find_labels(folder, category: str | None = None) -> Labels | None:
    """Reads the labels of a folder in a tool's own format; None if there are none.

    Args:
        folder: folder of the set.
        category: name or id of the category to read; None if the files have only one.

    Raises:
        ValueError: where several tools have left files, or for malformed ones.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return None
    found = [(paths, read) for find, read in _TOOLS if (paths := find(folder))]
    if len(found) > 1:
        names = [str(paths[0].relative_to(folder)) for paths, _ in found]
        raise ValueError(
            f"{folder} has labels of several tools: {', '.join(names)}. Leave those that "
            "are to be read."
        )
    for paths, read in found:
        return read(folder, paths, category)
    return None


def is_of_a_tool(path: Path) -> bool:
    """Returns True if a JSON file begins like a tool's own, and not like COCO's."""
    return is_labelme(path) or is_label_studio(path)
