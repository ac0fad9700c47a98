import dataclasses
import json
import math
import zipfile

import pytest

from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.contracts.certainty import ScoreCalibration, Visibility
from keras_pose.contracts.entries import CONTRACT_NAME, contracts_beside, write_contract
from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.pose import Contract, read_contract
from keras_pose.exporting.formats.embedding import embed_contract
from keras_pose.modelfiles.embedded import embed
from keras_pose.pictures.normalization import IMAGENET
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


@pytest.mark.parametrize("minor", [{}, {"schema_minor": 0}, {"schema_minor": 7}])
def test_other_minor_versions_are_read(model_file, minor):
    def edit(values):
        del values["schema_minor"]
        values.update(minor, mood="good")
        entry = values["models"][model_file.name]
        for part in ("input", "output", "crop", "codec", "skeleton"):
            entry[part]["mood"] = "good"

    edit_contract(model_file, edit)
    assert read_contract(model_file) == CONTRACT


def test_contract_of_a_newer_version_says_what_to_do(model_file):
    edit_contract(model_file, lambda values: values.update(schema_version=2))
    with pytest.raises(ValueError, match=r"schema_version 2; .* update this one"):
        read_contract(model_file)


def test_the_first_contracts_had_no_task(model_file):
    def edit(values):
        del values["models"][model_file.name]["task"]

    edit_contract(model_file, edit)
    assert read_contract(model_file) == CONTRACT


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda entry: entry.update(input=[1]), "a field of the contract has another type"),
        (
            lambda entry: entry.update(codec="dark"),
            "a field of the contract has another type",
        ),
        (lambda entry: entry["codec"].update(kind="magic"), "Unknown codec kind 'magic'"),
        (lambda entry: entry["codec"].update(kind=["dark"]), "has another type"),
        (lambda entry: entry["input"].update(shape=None), "has another type"),
        (lambda entry: entry["input"].update(shape=[1, -2]), "needs sizes above 0"),
        (
            lambda entry: entry["output"].update(dtype="int3"),
            "needs sizes above 0 and one of",
        ),
        (lambda entry: entry["output"].update(scale=0), "needs a scale above 0"),
        (lambda entry: entry["output"].update(zero_point=None), "a whole zero point"),
        (lambda entry: entry["crop"].update(box_padding=0), "box_padding must be above 0"),
        (lambda entry: entry["skeleton"].update(names=5), "has another type"),
        (lambda entry: entry.update(task="pottery"), "This is a contract for pottery"),
        (lambda entry: entry.update(file=None), "is not the file its contract describes"),
    ],
)
def test_fields_that_make_no_sense_are_named(model_file, edit, message):
    edit_contract(model_file, lambda values: edit(values["models"][model_file.name]))
    with pytest.raises(ValueError, match=f"(?i){message}"):
        read_contract(model_file)


@pytest.mark.parametrize(
    "text", ["[]", '{"schema_version": 1, "models": {"a": 3}}', "[" * 99999]
)
def test_what_is_no_contract_is_named(model_file, text):
    model_file.with_name(CONTRACT_NAME).write_text(text)
    with pytest.raises(ValueError, match=r"pose_model\.json"):
        read_contract(model_file)


def lonely_file(folder):
    """An `.onnx` file without operators, with a contract inside and none beside."""
    path = folder / "lonely.onnx"
    path.write_bytes(b"\x08\x07\x12\x04test")
    embed_contract(path, CONTRACT)
    return path


def test_a_file_may_travel_alone_under_any_name(tmp_path):
    path = lonely_file(tmp_path)
    assert read_contract(path) == CONTRACT
    assert read_contract(path.rename(tmp_path / "other.onnx")) == CONTRACT


def test_the_contract_beside_is_preferred(tmp_path):
    path = lonely_file(tmp_path)
    other = dataclasses.replace(CONTRACT, model="hrnet_w32")
    write_contract(path, other)
    assert read_contract(path) == other

    # Of other files in the folder it says nothing of this one.
    assert read_contract(path.rename(tmp_path / "renamed.onnx")) == CONTRACT


def test_a_file_that_changed_is_refused_though_it_has_a_contract_inside(tmp_path):
    path = lonely_file(tmp_path)
    write_contract(path, CONTRACT)
    path.write_bytes(path.read_bytes().replace(b"test", b"tent"))
    with pytest.raises(ValueError, match="not the file its contract describes"):
        read_contract(path)
    path.with_name(CONTRACT_NAME).unlink()
    with pytest.raises(
        ValueError, match="not the file that the contract inside was written"
    ):
        read_contract(path)


def test_an_embedded_contract_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "new.onnx"
    path.write_bytes(b"\x08\x07")
    embed(path, {**CONTRACT.to_dict(), "schema_version": 2})
    with pytest.raises(ValueError, match=r"new\.onnx has contract schema_version 2"):
        read_contract(path)


def test_a_keras_file_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "new.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(CONTRACT_NAME, json.dumps({"schema_version": 2}))
    with pytest.raises(ValueError, match=r"new\.keras has contract schema_version 2"):
        read_contract(path)


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


LOGITS = TensorSpec("visibility", (1, 17, 3), "int8", scale=0.1, zero_point=4)
CERTAIN = dataclasses.replace(
    CONTRACT,
    visibility=Visibility(LOGITS, 2.0),
    score_calibration=ScoreCalibration(8.0, -3.0),
)


def test_what_a_network_knows_of_its_certainty_survives_the_file(model_file):
    write_contract(model_file, CERTAIN)
    read = read_contract(model_file)

    assert read == CERTAIN
    assert [spec.name for spec in read.outputs] == ["heatmaps", "visibility"]
    # By hand: softmax of (2, 0, 0) / 2, and the logistic function at 8 / 2 - 3.
    shares = read.visibility.probabilities([[2.0, 0.0, 0.0]])
    assert shares[0, 0] == pytest.approx(math.e / (math.e + 2))
    assert read.score_calibration([0.5])[0] == pytest.approx(1 / (1 + math.exp(-1)))


@pytest.mark.parametrize(
    ("field", "values", "message"),
    [
        ("visibility", {"temperature": 0}, "temperature must be above 0, got 0"),
        ("visibility", {"kinds": ["seen"]}, "visibility.kinds must be"),
        ("visibility", {"shape": [1, 16, 3]}, r"of shape \(B, 17, 3\), got \(1, 16, 3\)"),
        ("score_calibration", {"slope": -1.0}, "slope must be above 0, got -1.0"),
        ("score_calibration", {"kind": "isotonic"}, "must be 'logistic', got 'isotonic'"),
        ("score_calibration", {"intercept": "0"}, "intercept must be a finite number"),
    ],
)
def test_certainty_that_makes_no_sense_is_refused(field, values, message):
    entry = CERTAIN.to_dict()
    entry[field] = entry[field] | values
    with pytest.raises(ValueError, match=message):
        Contract.from_dict(entry)
