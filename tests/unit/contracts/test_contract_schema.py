"""Every contract that is written fits the JSON Schema, and the page explains all of it."""

import json
from pathlib import Path

import jsonschema
import pytest

import keras_pose
from keras_pose.codecs import CODECS, DecodedCodec
from keras_pose.codecs.part_affinity import PartAffinityCodec
from keras_pose.contracts.bottom_up import BottomUpContract
from keras_pose.contracts.certainty import ScoreCalibration, Visibility
from keras_pose.contracts.detector import DetectorContract
from keras_pose.contracts.entries import VERSION_FIELDS, contracts_beside
from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.one_stage import FIELDS, OneStageContract
from keras_pose.contracts.operator_audit import LeftOperators, OperatorShare
from keras_pose.contracts.pose import Contract
from keras_pose.modelfiles.embedded import extract
from keras_pose.pictures.boxes import BoxSettings
from keras_pose.pictures.normalization import IMAGENET
from keras_pose.skeleton import COCO_17
from keras_pose.zoo import ZOO

PACKAGE = Path(keras_pose.__file__).parent
ROOT = PACKAGE.parent
SCHEMA = json.loads((PACKAGE / "contracts" / "pose_model.schema.json").read_text())
FILE = {"bytes": 3, "sha256": "0" * 64}
GAUSSIAN = CODECS["gaussian"].for_input((64, 48))


def errors_of(entry):
    document = {**VERSION_FIELDS, "models": {"x.tflite": {"file": FILE, **entry}}}
    validator = jsonschema.Draft202012Validator(SCHEMA)
    # Through JSON, which has no tuples.
    return [
        error.message for error in validator.iter_errors(json.loads(json.dumps(document)))
    ]


def pose_contract(codec, **values):
    return Contract(
        model="pose_slim",
        input=TensorSpec("image", (1, 64, 48, 3), "uint8"),
        output=TensorSpec(codec.output_name, (1, *codec.output_shape(17)), "float32"),
        codec=codec,
        skeleton=COCO_17,
        **values,
    )


def detector_contract(**values):
    return DetectorContract(
        model="rtmdet_nano",
        input=TensorSpec("image", (1, 64, 64, 3), "uint8"),
        scores=(TensorSpec("scores_32", (1, 2, 2, 1), "int8", 0.1, -3),),
        distances=(TensorSpec("distances_32", (1, 2, 2, 4), "int8", 0.5, -128),),
        strides=(32,),
        settings=BoxSettings(),
        **values,
    )


def crowd_contract(**values):
    shapes = ((100,), (100, 4), (100, 34), (100, 17))
    outputs = (
        TensorSpec(f"people_{name}", (1, *shape), "float32")
        for name, shape in zip(FIELDS, shapes, strict=True)
    )
    image = TensorSpec("image", (1, 64, 48, 3), "uint8")
    return OneStageContract("rtmo", image, *outputs, COCO_17, **values)


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "codec", [*CODECS.values(), DecodedCodec], ids=lambda codec: codec.kind
)
def test_contracts_of_all_codecs_fit(codec):
    contract = pose_contract(codec.for_input((64, 48)), normalization=IMAGENET)
    assert errors_of(contract.to_dict()) == []


def test_contracts_that_say_how_certain_a_network_is_fit():
    logits = TensorSpec("visibility", (1, 17, 3), "int8", 0.1, 4)
    contract = pose_contract(
        GAUSSIAN,
        visibility=Visibility(logits, 1.5),
        score_calibration=ScoreCalibration(8.0, -3.0),
    )
    assert errors_of(contract.to_dict()) == []
    broken = contract.to_dict()
    broken["visibility"]["temperature"] = 0
    assert errors_of(broken)


def test_every_codec_of_the_zoo_is_in_the_schema():
    known = SCHEMA["$defs"]["codec"]["properties"]["kind"]["enum"]
    specs = [spec for spec in ZOO.values() if spec.task == "top_down"]
    used = {spec.make_codec().kind for spec in specs}
    assert "gaussian" in used
    assert used <= set(known)


def test_contracts_of_bottom_up_networks_fit():
    codec = PartAffinityCodec((64, 48))
    heatmaps, fields = (
        TensorSpec(name, (1, *shape), "float32")
        for name, shape in zip(
            codec.output_names, codec.output_shapes(COCO_17), strict=True
        )
    )
    image = TensorSpec("image", (1, 64, 48, 3), "uint8")
    contract = BottomUpContract("openpose", image, heatmaps, fields, codec, COCO_17)
    entry = contract.to_dict()
    assert errors_of(entry) == []
    for field, value in (("fields", None), ("codec", {"kind": "gaussian"})):
        assert errors_of(entry | {field: value})


def test_contracts_of_one_stage_networks_fit():
    entry = crowd_contract().to_dict()
    assert errors_of(entry) == []
    for field, value in (("scores", None), ("codec", {"kind": "part_affinity"})):
        assert errors_of(entry | {field: value})


def test_contracts_of_detectors_fit():
    assert errors_of(detector_contract().to_dict()) == []


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("input", "layout", "NCHW"),
        ("input", "shape", [1, 64, 48]),
        ("input", "dtype", "uint4"),
        ("output", "scale", 0),
        ("output", "scale", 0.5),  # without a zero point
        ("crop", "box_padding", "large"),
        ("codec", "kind", "magic"),
        ("codec", "stride", 0),
        ("skeleton", "names", []),
        ("file", "sha256", "ABC"),
    ],
)
def test_what_makes_no_sense_does_not_fit(part, field, value):
    entry = {
        "file": dict(FILE),
        **pose_contract(CODECS["dark"].for_input((64, 48))).to_dict(),
    }
    assert errors_of(entry) == []
    entry[part][field] = value
    assert errors_of(entry)


@pytest.mark.parametrize("part", ["model", "input", "output", "crop", "codec", "skeleton"])
def test_nothing_may_be_left_out(part):
    entry = pose_contract(CODECS["gaussian"].for_input((64, 48))).to_dict()
    del entry[part]
    assert errors_of(entry)


@pytest.mark.parametrize(
    "make", [lambda **v: pose_contract(GAUSSIAN, **v), detector_contract]
)
def test_what_files_of_integers_say_fits_and_is_read(make):
    contract = make(float_operators=("a/MatMul",), sums_fit_16_bits=True)
    entry = contract.to_dict()
    assert errors_of(entry) == []
    assert type(contract).from_dict(entry) == contract
    assert "sums_fit_16_bits" not in make().to_dict()
    entry["sums_fit_16_bits"] = 7
    assert errors_of(entry)
    with pytest.raises(ValueError, match="sums_fit_16_bits must be true or false, got 7"):
        type(contract).from_dict(entry)


@pytest.mark.parametrize(
    "make", [lambda **v: pose_contract(GAUSSIAN, **v), detector_contract, crowd_contract]
)
def test_what_accelerators_are_expected_to_take_fits_and_is_read(make):
    left = (LeftOperators("TOPK_V2", "no such operator", 2),)
    contract = make(operator_audit=(OperatorShare("GPU", 5, 3, 2, left),))
    entry = json.loads(json.dumps(contract.to_dict()))
    assert errors_of(entry) == []
    assert type(contract).from_dict(entry) == contract
    assert "operator_audit" not in make().to_dict()
    del entry["operator_audit"]["GPU"]["taken"]
    assert errors_of(entry)
    with pytest.raises(ValueError, match="lacks the field 'taken'"):
        type(contract).from_dict(entry)


def test_additions_fit():
    entry = {**detector_contract().to_dict(), "mood": "good"}
    entry["settings"] = {**entry["settings"], "mood": "good"}
    assert errors_of(entry) == []


@pytest.mark.parametrize("kind", ["int8", "float16", "onnx"])
def test_what_exporters_write_fits_beside_and_inside(exported, kind):
    path = exported.paths[kind]
    assert errors_of(contracts_beside(path)[path.name]) == []
    inside = {**SCHEMA, "type": "object", "required": [], "properties": {}}
    inside["$ref"] = "#/$defs/embedded"
    assert list(jsonschema.Draft202012Validator(inside).iter_errors(extract(path))) == []


def properties(schema):
    """Yields the names of all properties in a schema."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield from schema["properties"]
        for value in schema.values():
            yield from properties(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from properties(value)


def test_the_page_explains_every_field():
    page = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    missing = {name for name in properties(SCHEMA) if f"`{name}" not in page}
    # Explained with the field they stand in: a codec's is written codec.kind.
    missing -= {name for name in missing if f".{name}" in page or f"{name}`" in page}
    assert missing == set()
    assert (
        f"version {VERSION_FIELDS['schema_version']}.{VERSION_FIELDS['schema_minor']}"
        in page
    )


def test_the_stored_parity_pack_fits_its_schema():
    schema = json.loads((PACKAGE / "parity" / "parity_pack.schema.json").read_text())
    index = json.loads((ROOT / "mobile_demo" / "parity" / "index.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    assert list(validator.iter_errors(index)) == []
    for damage in ({"tolerance": -1}, {"values": 3}, {"dtype": "float16"}):
        damaged = json.loads(json.dumps(index))
        field = damaged["cases"][0]["expected"]["center_xy"]
        field.update(damage)
        assert list(validator.iter_errors(damaged))
