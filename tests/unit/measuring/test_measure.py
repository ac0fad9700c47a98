"""One call measures a file of any kind, on a set of any name."""

import numpy as np
import pytest

from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.measuring import MeasureSettings, measure, tasks
from keras_pose.pictures.structures import Poses
from keras_pose.shipped import shipped_file
from keras_pose.skeleton import COCO_17


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    write_coco_dataset(folder, 3, split="val")
    return folder


@pytest.mark.parametrize("kind", ["pose", "detector"])
def test_a_file_is_measured_by_what_it_is(kind, folder):
    settings = MeasureSettings("synthetic", folder, limit=2)

    measurement, result = measure(shipped_file(kind), settings, progress=False)

    assert measurement.value == result.stats["AP"]
    assert measurement.protocol.num_images == 2
    assert measurement.drop(measurement) == 0
    assert measurement.to_dict()["protocol"]["file_name"] == shipped_file(kind).name
    assert measurement.describe_data().startswith("synthetic val, first 2 images")


def test_bottom_up_networks_are_measured_on_sets_of_ones_own(folder):
    nobody = np.zeros((0, 4)), np.zeros((0, 17, 2)), np.zeros((0, 17)), np.zeros(0)
    split = tasks.CROWD.open(MeasureSettings("mine", folder, limit=2), None, None)

    assert split.description == "people in 2 images of mine val"
    assert split.value_of(lambda image: Poses(*nobody, COCO_17)) == 0


def test_kinds_do_not_share_a_table(tmp_path):
    (tmp_path / "w.pth").touch()
    files = [shipped_file("detector"), tmp_path / "w.pth"]
    with pytest.raises(ValueError, match=r"^Detectors and networks that see one person"):
        tasks.common_task(files, "testing_pose")
