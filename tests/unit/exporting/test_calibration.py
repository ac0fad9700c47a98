import numpy as np
import pytest
from exported_files import SKELETON

from keras_pose.data.sources import PersonSample
from keras_pose.exporting.calibration import calibration_crops
from keras_pose.topdown import crop_people


class Source:
    """Ten people, each in a picture of a colour of their own."""

    skeleton = SKELETON

    def __len__(self):
        return 10

    def load(self, index):
        image = np.full((40, 60, 3), 20 * index, np.uint8)
        return PersonSample(image, np.array([10.0, 5, 20, 30]), None, None)


def test_crops_are_those_of_inference(exported):
    crops = calibration_crops(Source(), exported.contract, count=10, seed=3)

    inferred = [
        crop_people(person.image, person.box_xywh[None], exported.contract)[0][0]
        for person in map(Source().load, range(10))
    ]
    assert crops.dtype == np.uint8
    by_colour = sorted(crops, key=lambda crop: crop.max())
    np.testing.assert_array_equal(by_colour, inferred)


def test_seed_picks_the_people(exported):
    first, again, other = (
        calibration_crops(Source(), exported.contract, count=4, seed=seed)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_more_crops_than_people(exported):
    assert len(calibration_crops(Source(), exported.contract, count=200)) == 10


def test_no_crops_are_refused(exported):
    with pytest.raises(ValueError, match="got count=0 and 10 people"):
        calibration_crops(Source(), exported.contract, count=0)
