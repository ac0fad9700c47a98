import dataclasses
import json
import zipfile

import pytest

from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.contract import (
    CONTRACT_NAME,
    Contract,
    TensorSpec,
    contracts_beside,
    read_contract,
    write_contract,
)
from keras_pose.normalization import IMAGENET
from keras_pose.skeleton import COCO_17

CONTRACT = Contract(
    model="pose_slim",
    input=TensorSpec("image", (1, 256, 192, 3), "uint8"),
    output=TensorSpec("heatmaps", (1, 64, 48, 17), "int8", scale=0.005, zero_point=-100),
    codec=GaussianHeatmapCodec.for_input((256, 192)),
    skeleton=COCO_17,
    quantization="int8",
    signature="serve",
)


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "pose_model.tflite"
    path.write_bytes(b"some network")
    write_contract(path, CONTRACT)
    return path


def edit_contract(model_file, edit):
    path = model_file.with_name(CONTRACT_NAME)
    values = json.loads(path.read_text())
    edit(values)
    path.write_text(json.dumps(values))


def test_contract_survives_the_file(model_file):
    assert read_contract(model_file) == CONTRACT


def test_contract_survives_json_with_a_normalization_and_a_free_batch():
    free = dataclasses.replace(CONTRACT.input, shape=(None, 256, 192, 3))
    contract = dataclasses.replace(CONTRACT, normalization=IMAGENET, input=free)
    assert Contract.from_dict(json.loads(json.dumps(contract.to_dict()))) == contract


def test_contract_holds_what_a_phone_needs(model_file):
    entry = contracts_beside(model_file)[model_file.name]

    assert entry["input"]["layout"] == "NHWC"
    assert entry["input"]["channel_order"] == "RGB"
    assert entry["input"]["value_range"] == [0, 255]
    assert entry["output"]["scale"] == 0.005
    assert entry["crop"]["aspect_ratio"] == 0.75
    assert entry["codec"]["stride"] == 4
    assert entry["skeleton"]["names"][0] == "nose"
    assert [1, 2] in entry["skeleton"]["mirror_pairs"]
    assert entry["file"]["bytes"] == len(b"some network")


def test_contract_of_another_file_is_refused(model_file):
    model_file.write_bytes(b"another network")
    with pytest.raises(ValueError, match="not the file its contract describes"):
        read_contract(model_file)


def test_missing_contract_is_named(model_file):
    model_file.with_name(CONTRACT_NAME).unlink()
    with pytest.raises(
        FileNotFoundError, match=r"has no contract: expected pose_model\.json"
    ):
        read_contract(model_file)


def test_renamed_file_is_named(model_file):
    renamed = model_file.rename(model_file.with_name("other.tflite"))
    with pytest.raises(ValueError, match=r"but not other\.tflite: was the file renamed"):
        read_contract(renamed)


def test_contract_of_another_version_is_refused(model_file):
    edit_contract(model_file, lambda values: values.update(schema_version=99))
    with pytest.raises(ValueError, match="schema_version 99"):
        read_contract(model_file)


def test_missing_field_is_named(model_file):
    edit_contract(model_file, lambda values: values["models"][model_file.name].pop("codec"))
    with pytest.raises(ValueError, match=r"pose_model\.json: .* lacks the field 'codec'"):
        read_contract(model_file)


def test_contract_that_is_not_json_is_named(model_file):
    model_file.with_name(CONTRACT_NAME).write_text("{")
    with pytest.raises(ValueError, match=r"pose_model\.json is not valid JSON"):
        read_contract(model_file)


def test_writing_keeps_the_other_files_and_drops_those_that_are_gone(model_file):
    second = model_file.with_name("second.onnx")
    second.write_bytes(b"second")
    write_contract(second, CONTRACT)
    assert set(contracts_beside(second)) == {"pose_model.tflite", "second.onnx"}

    model_file.unlink()
    write_contract(second, CONTRACT)
    assert set(contracts_beside(second)) == {"second.onnx"}


def test_keras_file_without_a_contract_is_named(tmp_path):
    path = tmp_path / "foreign.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(FileNotFoundError, match="holds no contract"):
        read_contract(path)


def test_keras_file_that_is_no_archive_is_named(tmp_path):
    path = tmp_path / "broken.keras"
    path.write_bytes(b"PK, but no more")
    with pytest.raises(ValueError, match=r"broken\.keras is not a \.keras file"):
        read_contract(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"output": TensorSpec("heatmaps", (1, 64, 48, 16), "float32")},
            r"17 keypoints .* needs outputs of shape \(B, 64, 48, 17\), got .* 16\)",
            id="keypoints",
        ),
        pytest.param(
            {"input": TensorSpec("image", (1, 192, 256, 3), "uint8")},
            "but the codec is for",
            id="swapped_input_size",
        ),
    ],
)
def test_contract_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONTRACT, **changes)
