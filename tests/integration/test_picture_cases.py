"""Small data sets as people have them: every picture trains with its own pixels.

Each kind has a test that draws its own input (unit tests of images, pictures, evaluator,
calibration and the program); these read the shared cases, where they are.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from keras_pose import __main__ as command
from keras_pose.data.datasets import open_dataset
from keras_pose.data.image_decoding import decode_image
from keras_pose.data.sources import records_source
from keras_pose.pictures.images import read_image

SHARED = Path(
    os.environ.get("KERAS_POSE_SHARED", Path(__file__).resolve().parents[3] / "shared")
)


def case(name):
    folder = SHARED / "cases" / name
    if not folder.is_dir():
        pytest.skip(f"the case is absent: no folder {folder} (set KERAS_POSE_SHARED)")
    return folder


def people_of(name, split="val"):
    dataset = open_dataset("coco", case(name), split)
    return records_source(dataset.records, dataset.skeleton)


def decoded(source):
    return [decode_image(image.read_bytes()).numpy() for image in source.images]


@pytest.mark.parametrize(("name", "count"), [("pixel_formats", 9), ("modern_formats", 4)])
def test_every_format_trains_with_the_pixels_of_read_image(name, count):
    source = people_of(name)
    assert len(source.images) == count
    ready = source.without_broken_images()
    assert len(ready) == count
    for path, pixels in zip(source.images, decoded(ready), strict=True):
        np.testing.assert_array_equal(pixels, read_image(path), str(path))


def test_labels_of_a_turned_picture_are_trained_on_with_the_upright_one():
    source = people_of("exif_turned")
    (pixels,) = decoded(source.without_broken_images())
    assert pixels.shape == (320, 240, 3)
    np.testing.assert_array_equal(source.load(0).image, pixels)
    # The head is drawn around the nose, in its colour.
    x, y = np.rint(source.keypoints_xy[0, 0]).astype(int)
    np.testing.assert_allclose(pixels[y, x], (240, 210, 180), atol=12)


@pytest.mark.parametrize("split", ["train", "val"])
def test_one_broken_picture_is_left_out_by_name(split):
    source = people_of("one_broken_picture", split)
    with pytest.warns(UserWarning, match=r"4\.jpg cannot be read"):
        ready = source.without_broken_images()
    assert (len(ready), ready.num_skipped_images) == (5, 1)


@pytest.mark.slow
def test_a_folder_with_two_pictures_of_one_stem_and_a_bad_file(tmp_path):
    folder = case("same_stem") / "images"
    output, poses = tmp_path / "drawn", tmp_path / "poses.json"
    ending = command.main([str(folder), "--output", str(output), "--json", str(poses)])
    assert "not_a_picture.jpg" in ending
    assert sorted(path.name for path in output.iterdir()) == [
        "a_jpg_pose.png",
        "a_png_pose.png",
    ]
    assert len(json.loads(poses.read_text())["photos"]) == 2
