"""Packs of model files: written from them, replayed without TensorFlow."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from exported_files import export_tflite
from keras import layers
from PIL import Image

from keras_pose.contracts.detector import detector_contract
from keras_pose.contracts.pose import read_contract
from keras_pose.exporting.formats.embedding import replace_contract
from keras_pose.parity import read_pack, replay, write_pack
from keras_pose.parity.bundle import check_bundle, write_bundle
from keras_pose.parity.model_cases import Person, model_cases, varied
from keras_pose.parity.model_file import ModelFile
from keras_pose.parity.model_pictures import people_in
from keras_pose.parity.scenes import patches
from keras_pose.pictures.boxes import BoxSettings
from keras_pose.pictures.normalization import IMAGENET

ROOT = Path(__file__).resolve().parents[3]
PEOPLE = [Person(patches((90, 70), seed=i), np.array([20.0, 15, 30, 45])) for i in range(4)]


@pytest.fixture(scope="module")
def detector_file(tmp_path_factory):
    """Two levels of a detector, each cell sure of a box around it."""
    keras.utils.set_random_seed(0)
    image = keras.Input((64, 64, 3), name="image")
    outputs = [
        layers.Conv2D(
            channels, stride, stride, bias_initializer=keras.initializers.Constant(bias)
        )(image)
        for channels, bias in ((1, -1.0), (4, 12.0))
        for stride in (16, 32)
    ]
    network = keras.Model(image, outputs, name="rtmdet_nano")
    contract = detector_contract(network, IMAGENET, settings=BoxSettings(0.3))
    path = tmp_path_factory.mktemp("detector") / "detector.tflite"
    crops = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    export_tflite(network, contract, path, crops)
    return path


@pytest.mark.parametrize("kind", ["int8", "float32", "onnx"])
def test_a_pose_model_s_pack_replays(exported, tmp_path, kind):
    models = {"pose": ModelFile(exported.paths[kind])}
    cases = model_cases(models, PEOPLE)
    write_pack(tmp_path, cases, {"pose": models["pose"].to_dict()})
    pack = read_pack(tmp_path)

    assert {case.kind for case in pack.cases} >= {
        "crop",
        "input",
        "model",
        "decode",
        "pose",
        "clip",
    }
    assert pack.models["pose"]["contract"]["model"] == "tiny"
    results = replay(pack, models)
    assert [result for result in results if not result.is_within] == []
    compared = [
        case.expected["keypoints_xy"]["where"] for case in pack.cases if case.kind == "pose"
    ]
    assert np.sum(compared) > 0
    # Without the file, the steps around it are still replayed.
    without = {result.case.partition("/")[0] for result in replay(pack)}
    assert without == {"crop", "input", "decode", "clip"}


def test_a_pack_tells_one_file_from_another(exported, tmp_path):
    write_pack(
        tmp_path, model_cases({"pose": ModelFile(exported.paths["float32"])}, PEOPLE[:1])
    )
    other = {"pose": ModelFile(exported.paths["onnx"])}
    assert all(result.is_within for result in replay(read_pack(tmp_path), other))

    other = {"pose": ModelFile(exported.paths["int8"])}
    wrong = {
        result.case for result in replay(read_pack(tmp_path), other) if not result.is_within
    }
    assert "model/person_0_inside" in wrong


def test_a_detector_s_pack_replays_without_tensorflow(exported, detector_file, tmp_path):
    models = {
        "pose": ModelFile(exported.paths["int8"]),
        "detector": ModelFile(detector_file),
    }
    write_pack(tmp_path, model_cases(models, PEOPLE[:2]))
    code = f"""
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
from keras_pose.parity import read_pack, replay
from keras_pose.parity.model_file import ModelFile
models = {{"pose": ModelFile({str(exported.paths["int8"])!r}),
           "detector": ModelFile({str(detector_file)!r})}}
results = replay(read_pack({str(tmp_path)!r}), models)
kinds = {{result.case.partition("/")[0] for result in results}}
assert kinds > {{"boxes", "pose", "model"}}
assert all(result.is_within for result in results), results
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_boxes_are_varied():
    person = PEOPLE[0]
    assert varied(person, 0) is person
    assert varied(person, 1).box_xywh[0] < 0
    assert max(varied(person, 2).box_xywh[2:]) == 16
    assert (varied(person, 3).box_xywh[2:] > person.image.shape[1::-1]).all()


def test_people_of_a_folder(tmp_path):
    for i in range(3):
        Image.fromarray(patches((300, 400), seed=i)).save(tmp_path / f"{i}.png")
    people = people_in(tmp_path, 2)

    assert [person.image.shape for person in people] == [(150, 200, 3)] * 2
    np.testing.assert_array_equal(people[0].box_xywh, [0, 0, 199, 149])
    with pytest.raises(
        ValueError, match="of 4 cases needs as many pictures of people, got 3"
    ):
        people_in(tmp_path, 4)


@pytest.fixture(scope="module")
def bundle(exported, detector_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("app") / "models"
    models = {
        "pose": ModelFile(exported.paths["int8"]),
        "detector": ModelFile(detector_file),
    }
    return write_bundle(folder, models, PEOPLE[:1], box_threshold=0.25)


def test_a_bundle_has_all_that_an_app_needs(exported, bundle):
    manifest = check_bundle(bundle)

    assert manifest["models"] == {"pose": "pose.tflite", "detector": "detector.tflite"}
    assert (bundle / "pose.tflite").read_bytes() == exported.paths["int8"].read_bytes()
    assert read_contract(bundle / "pose.tflite") == read_contract(exported.paths["int8"])
    assert (bundle / "keypoints.txt").read_text() == "nose\nleft_hip\nright_hip\n"
    assert (bundle / "classes.txt").read_text() == "person\n"
    assert manifest["settings"] == {"box_threshold": 0.25}
    assert {"pose_model.json", "parity/maths/arrays.bin"} < set(manifest["files"])
    models = {name: ModelFile(bundle / file) for name, file in manifest["models"].items()}
    results = replay(read_pack(bundle / manifest["parity"]["models"]), models)
    assert all(result.is_within for result in results)


def test_a_bundle_says_what_to_expect_of_files_that_do_not(
    exported, detector_file, tmp_path
):
    path = tmp_path / "old.tflite"
    shutil.copyfile(exported.paths["int8"], path)
    known = read_contract(path)
    replace_contract(path, dataclasses.replace(known, operator_audit=()))
    pose = ModelFile(path)
    assert pose.contract.operator_audit == ()

    models = {"pose": pose, "detector": ModelFile(detector_file)}
    folder = write_bundle(tmp_path / "app", models, PEOPLE[:1])

    assert known.operator_audit
    assert read_contract(folder / "pose.tflite") == known


def test_a_bundle_that_was_changed_is_refused(bundle, tmp_path):
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    (copy / "keypoints.txt").write_text("nose")
    with pytest.raises(ValueError, match=r"keypoints\.txt is not the file of its bundle"):
        check_bundle(copy)
    (copy / "keypoints.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks keypoints\.txt"):
        check_bundle(copy)
    (copy / "manifest.json").write_text('{"format": "other"}')
    with pytest.raises(ValueError, match="is no bundle"):
        check_bundle(copy)


def test_a_bundle_replaces_a_bundle_and_nothing_else(
    exported, detector_file, bundle, tmp_path
):
    models = {
        "pose": ModelFile(exported.paths["float32"]),
        "detector": ModelFile(detector_file),
    }
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    write_bundle(copy, models, PEOPLE[:1])
    assert (copy / "pose.tflite").read_bytes() == exported.paths["float32"].read_bytes()

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="holds files that are of no bundle"):
        write_bundle(mine, models, PEOPLE[:1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "mine"]


def test_a_bundle_takes_a_pose_model_and_a_detector(exported, detector_file, tmp_path):
    pose, detector = ModelFile(exported.paths["int8"]), ModelFile(detector_file)
    for models, message in (
        ({"pose": pose}, "of a pose model and a detector"),
        ({"pose": detector, "detector": pose}, "was given as the pose, which it is not"),
        (
            {"pose": ModelFile(exported.paths["onnx"]), "detector": detector},
            r"holds \.tflite files",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            write_bundle(tmp_path / "x", models, PEOPLE[:1])
