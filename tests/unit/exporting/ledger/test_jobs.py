"""What the ledger writes, and what it measures: the shipped models on drawn people."""

import numpy as np
import pytest
from exported_files import BGR, CODEC, SKELETON, smooth_crops
from imbalanced_model import imbalanced_model
from own_keypoints import ToyModel, write_toys

from keras_pose.contracts.activation_ranges import save_with_ranges
from keras_pose.contracts.pose import keras_contract
from keras_pose.data.readers.coco import Reading
from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.exporting.ledger import jobs
from keras_pose.exporting.ledger.jobs import evaluate_file, write_formats
from keras_pose.exporting.ledger.ledger_settings import LedgerSettings
from keras_pose.measuring import tasks
from keras_pose.modelfiles.flatbuffer import tflite_graph
from keras_pose.shipped import shipped_file


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    write_coco_dataset(folder, num_images=4, split="val", image_hw=(192, 256))
    return {
        "dataset": "synthetic",
        "data_dir": str(folder),
        "split": "val",
        "limit": 3,
        "flip_test": False,
    }


@pytest.mark.slow
def test_a_detector_is_measured_by_its_boxes(data, tmp_path):
    found = evaluate_file(str(shipped_file("detector")), data, str(tmp_path / "k.npz"))

    assert found["metric"] == "box AP"
    # It was trained on photographs; what it finds of drawings is at least a figure.
    assert 0 <= found["value"] <= 1
    assert "first 3 images" in found["protocol"]
    # Boxes have no keypoints that could shift.
    assert not (tmp_path / "k.npz").exists()


@pytest.mark.slow
def test_a_pose_network_is_measured_by_its_keypoints(data, tmp_path):
    found = evaluate_file(str(shipped_file("pose")), data, str(tmp_path / "k.npz"))

    assert found["metric"] == "AP"
    assert 0 <= found["value"] <= 1
    with np.load(tmp_path / "k.npz") as kept:
        people, keypoints, _ = kept["keypoints_xy"].shape
        assert (people, keypoints) == kept["is_labelled"].shape
        assert keypoints == 17
        assert people >= 3
        assert kept["is_labelled"].any()


@pytest.mark.parametrize(
    ("more", "metric"), [({}, "PCK_box@0.1"), ({"sigmas": "uniform"}, "AP")]
)
def test_own_keypoints_are_opened_by_the_model(more, metric, tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "load_model", lambda *_, **__: ToyModel())
    monkeypatch.setattr(tasks, "is_detector", lambda *_: False)
    monkeypatch.setattr(tasks, "is_of_crowd", lambda *_: False)
    (tmp_path / "toy.tflite").write_bytes(b"a model")
    data = {"dataset": "coco", "data_dir": str(write_toys(tmp_path / "toys")), **more}
    data |= {"split": "val", "limit": None, "flip_test": False}

    found = evaluate_file(str(tmp_path / "toy.tflite"), data, str(tmp_path / "k.npz"))

    assert found["metric"] == metric
    assert ("no OKS sigmas" in found["reason"]) == (not more)


def test_integer_files_have_the_ranges_that_training_found(tmp_path):
    model = imbalanced_model(factor=1.0)
    source, path = tmp_path / "best.keras", tmp_path / "int8.tflite"
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    save_with_ranges(model, source, contract, {"first": (0.0, 51.0)})
    np.save(tmp_path / "crops.npy", smooth_crops(12))

    done = write_formats(
        str(source),
        {"int8": str(path)},
        str(tmp_path / "crops.npy"),
        {},
        str(tmp_path / "done.json"),
    )

    assert "failure" not in done["int8"]
    scales = [
        tensor.scale
        for tensor in tflite_graph(path).tensors.values()
        if "first" in tensor.name and tensor.dtype == "int8" and not tensor.is_constant
    ]
    assert scales == [pytest.approx(51 / 255)]


def test_what_is_said_of_a_file_reaches_the_measuring(tmp_path):
    said = {"category": "toy", "rescale_labels": True}
    data = LedgerSettings("a.keras", tmp_path, dataset="coco", **said).data
    assert jobs._reading(data) == Reading("toy", True)
    # What was measured before stays valid.
    plain = LedgerSettings("a.keras", tmp_path, dataset="coco").data
    assert not set(said) & set(plain)
