import numpy as np
import pytest
from exported_files import INPUT_HW, SKELETON
from PIL import Image
from says import Says

from keras_pose.data.sources import PersonSample, PersonSource, synthetic_source
from keras_pose.exporting.quantization.calibration import (
    calibration_crops,
    farthest_points,
    folder_crops,
    light_features,
    warn_if_few,
)
from keras_pose.runtime.top_down_steps import crop_people
from keras_pose.skeleton import COCO_17


class Source:
    """Ten people, each in a picture of a colour of their own."""

    skeleton = SKELETON

    def __len__(self):
        return 10

    def load(self, index):
        image = np.full((40, 60, 3), 20 * index, np.uint8)
        return PersonSample(image, np.array([10.0, 5, 20, 30]), None, None)


def test_crops_are_those_of_inference(exported):
    crops = calibration_crops(Source(), exported.contract, 10, seed=3, choice="random")

    inferred = [
        crop_people(person.image, person.box_xywh[None], exported.contract)[0][0]
        for person in map(Source().load, range(10))
    ]
    assert crops.dtype == np.uint8
    by_colour = sorted(crops, key=lambda crop: crop.max())
    np.testing.assert_array_equal(by_colour, inferred)


def test_seed_picks_the_people(exported):
    first, again, other = (
        calibration_crops(Source(), exported.contract, 4, seed=seed, choice="random")
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_more_crops_than_people(exported):
    crops = calibration_crops(Source(), exported.contract, 200, choice="random")
    assert len(crops) == 10


def test_no_crops_are_refused(exported):
    with pytest.raises(ValueError, match="got count=0 and 10 people"):
        calibration_crops(Source(), exported.contract, count=0)


def test_farthest_points_cover_all_groups_before_they_repeat_one():
    centers = np.array([[0.0, 0], [10, 0], [0, 10], [10, 10]])
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(center, 0.1, (50, 2)) for center in centers])

    chosen = farthest_points(points, 4)

    assert sorted(chosen // 50) == [0, 1, 2, 3]


def test_farthest_points_are_all_of_them_if_there_are_few():
    assert sorted(farthest_points(np.zeros((3, 2)), 10)) == [0, 1, 2]


def test_spread_crops_cover_light_and_dark(exported):
    people = synthetic_source(20, seed=1)
    spread, again, random = (
        calibration_crops(people, exported.contract, 5, seed=0, choice=choice)
        for choice in ("spread", "spread", "random")
    )

    np.testing.assert_array_equal(spread, again)
    # So ledger and families measure the files that `to_tflite` writes.
    np.testing.assert_array_equal(spread, calibration_crops(people, exported.contract, 5))
    light = light_features(spread)[:, :3].mean(axis=1)
    assert np.ptp(light) > np.ptp(light_features(random)[:, :3].mean(axis=1))


def test_unknown_choice_is_refused(exported):
    with pytest.raises(ValueError, match=r"choice must be one of .* got 'best'"):
        calibration_crops(Source(), exported.contract, 1, choice="best")


def write_pictures(folder, count, input_hw=INPUT_HW):
    for index in range(count):
        image = np.full((*input_hw, 3), 25 * index, np.uint8)
        Image.fromarray(image).save(folder / f"{index}.png")


def test_folder_of_crops_is_read_as_it_is(exported, tmp_path):
    write_pictures(tmp_path, 3)
    crops = folder_crops(tmp_path, exported.contract, count=5)
    assert crops[:, 0, 0, 0].tolist() == [0, 25, 50]


def test_of_many_crops_the_darkest_and_lightest_are_among_the_chosen(exported, tmp_path):
    write_pictures(tmp_path, 10)
    crops = folder_crops(tmp_path, exported.contract, count=3)
    assert {0, 225} < set(crops[:, 0, 0, 0].tolist())


def test_folders_that_cannot_calibrate_are_refused(exported, tmp_path):
    with Says(
        "gone does not exist", do="Name a folder with crops: --calibration-data DIR."
    ).refuses():
        folder_crops(tmp_path / "gone", exported.contract, 5)
    (tmp_path / "notes.txt").touch()
    with Says(
        "must hold pictures ... got 1 entries",
        do="Put crops of people into the folder, cut to the network's input.",
    ).refuses():
        folder_crops(tmp_path, exported.contract, 5)
    write_pictures(tmp_path, 1, input_hw=(24, 32))
    with Says(
        "input size, 32x24 ... 0.png is 24x32",
        do="Cut the crops to height x width of the network's input.",
    ).refuses():
        folder_crops(tmp_path, exported.contract, 5)


def test_few_crops_are_warned_of():
    with Says(
        "Calibrating on 7 crops only: below 50",
        do="Give more people, or a folder of crops: --calibration-data DIR.",
    ).warns():
        warn_if_few(7)


@pytest.mark.parametrize("choice", ["random", "spread"])
def test_calibration_goes_without_pictures_that_cannot_be_read(exported, tmp_path, choice):
    write_pictures(tmp_path, 4, input_hw=(50, 50))
    (tmp_path / "1.png").write_bytes(b"no picture")
    source = PersonSource(
        COCO_17,
        [tmp_path / f"{i}.png" for i in range(4)],
        np.repeat(np.arange(4, dtype=np.int32), 2),
        np.tile(np.float32([5, 5, 40, 40]), (8, 1)),
        np.full((8, 17, 2), 20, np.float32),
        np.full((8, 17), 2, np.int32),
    )
    with pytest.warns(UserWarning, match=r"without 1 pictures .*1\.png cannot be read"):
        crops = calibration_crops(source, exported.contract, 6, choice=choice)
    assert sorted(crops[:, 16, 12, 0].tolist()) == [0, 0, 50, 50, 75, 75]

    for i in range(4):
        (tmp_path / f"{i}.png").unlink()
    with Says(
        "No picture to calibrate on",
        do="Look at the folder of the data set: none of its pictures can be read.",
    ).refuses():
        calibration_crops(source, exported.contract, 6, choice=choice)


def test_a_folder_of_crops_goes_without_broken_ones(exported, tmp_path):
    write_pictures(tmp_path, 2)
    (tmp_path / "cut.webp").write_bytes(b"RIFF")
    with pytest.warns(UserWarning, match=r"without 1 pictures .*cut\.webp"):
        assert len(folder_crops(tmp_path, exported.contract, count=5)) == 2
