"""The reader of WFLW's own lists: a face a line, in text.

A line holds 196 coordinates (x, y of 98 points), the face's box (x and y of its first and
last corner), six attributes and the picture's name. Source: the README of
WFLW_annotations (Wu et al. 2018, wywu.github.io/projects/LAB/WFLW.html).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_pose.data.readers.checks import (
    Entry,
    ImageFolder,
    LeftOut,
    check_anyone,
    make_record,
    number_names,
)
from keras_pose.data.records import PersonRecord
from keras_pose.skeleton import WFLW_98

NUM_COORDINATES, NUM_CORNERS, NUM_ATTRIBUTES = 2 * WFLW_98.num_keypoints, 4, 6
_NUM_NUMBERS = NUM_COORDINATES + NUM_CORNERS + NUM_ATTRIBUTES


def read_wflw(list_path, image_folder) -> list[PersonRecord]:
    """Reads the faces of a list such as `list_98pt_rect_attr_train.txt`.

    Args:
        list_path: text file, one face a line.
        image_folder: the folder `WFLW_images`; None to look up no picture.

    Raises:
        FileNotFoundError: for a missing list or folder.
        ValueError: names file and line of what is malformed, or says that no one is left.
    """
    path = Path(list_path)
    if not path.is_file():
        raise FileNotFoundError(f"List of faces {path} does not exist.")
    images, left_out = ImageFolder(image_folder), LeftOut(path)
    lines = [line.split() for line in path.read_text().splitlines()]
    numbers = number_names(words[-1] for words in lines if words)
    records = []
    for number, words in enumerate(lines, start=1):
        if not words:
            continue
        entry = Entry(path, f"line {number}")
        if len(words) != _NUM_NUMBERS + 1:
            raise ValueError(
                f"{entry} must hold {_NUM_NUMBERS} numbers and the name of a picture, got "
                f"{len(words)} words."
            )
        values = entry.check_numbers("points and box", words[:-1], _NUM_NUMBERS)
        first, last = values[NUM_COORDINATES:][:NUM_CORNERS].reshape(2, 2)
        record = make_record(
            entry,
            left_out,
            images.locate(words[-1], entry, "name of the picture"),
            np.concatenate([first, last - first]),
            values[:NUM_COORDINATES].reshape(-1, 2),
            np.full(WFLW_98.num_keypoints, 2),
            area=float(np.prod(np.maximum(last - first, 0))),
            image_id=numbers[words[-1]],
            annotation_id=number,
        )
        if record is not None:
            records.append(record)
    left_out.warn()
    return check_anyone(records, path)
