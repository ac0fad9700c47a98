import contextlib
import dataclasses

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from keras_pose.contracts.pose import read_contract
from keras_pose.exporting.inspection.audit import (
    Audit,
    audit_file,
    describe_audit,
    fallen_kinds,
    left_by_xnnpack,
)
from keras_pose.exporting.inspection.delegates import (
    coreml_rule,
    gpu_rule,
    nnapi_rule,
    partitions,
)
from keras_pose.modelfiles.graph import Graph, Operator, Tensor
from keras_pose.modelfiles.reading import read_graph


def test_the_interpreter_tells_what_xnnpack_takes(exported):
    audit = audit_file(exported.paths["int8"])
    xnnpack = audit.delegate("XNNPACK")
    # uint8 pixels become int8, and nothing else is left to the CPU.
    assert xnnpack.fallen == {"QUANTIZE: on uint8 to int8": 1}
    assert (xnnpack.num_taken, xnnpack.num_partitions) == (xnnpack.num_operators - 1, 1)
    assert audit.weight_type == "int8"
    assert Audit.from_dict(audit.to_dict()) == audit


def test_every_format_gets_a_verdict_of_every_delegate(exported):
    names = {
        kind: [each.name for each in audit_file(exported.paths[kind]).delegates]
        for kind in ("float16", "onnx")
    }
    assert names == {
        "float16": ["XNNPACK", "GPU", "NNAPI", "Core ML"],
        "onnx": ["NNAPI", "Core ML"],
    }


def test_contracts_of_exported_files_say_what_the_audit_expects_of_phones(exported):
    for kind in ("float32", "int8"):
        audit = audit_file(exported.paths[kind])
        shares = read_contract(exported.paths[kind]).operator_audit
        assert [share.accelerator for share in shares] == ["GPU", "Core ML"]
        for share in shares:
            found = audit.delegate(share.accelerator)
            assert share.num_operators == found.num_operators
            assert share.num_taken == found.num_taken
            assert share.num_partitions == found.num_partitions
            left = {f"{each.operator}: {each.reason}": each.count for each in share.left}
            assert left == found.fallen
    assert read_contract(exported.paths["onnx"]).operator_audit == ()


def test_weights_to_be_unpacked_count_for_nobody(exported):
    graph = read_graph(exported.paths["float16"])
    num_unpacking = graph.counts()["DEQUANTIZE"] - 1  # one is of the pixels
    assert num_unpacking > 0
    xnnpack = audit_file(exported.paths["float16"]).delegate("XNNPACK")
    assert xnnpack.num_operators == len(graph.operators) - num_unpacking


def test_partitions_are_those_of_the_interpreter(shared_data_dir):
    path = shared_data_dir / "peers" / "movenet_lightning_int8.tflite"
    if not path.exists():
        pytest.skip(f"no {path.name}")
    graph = read_graph(path)
    left = left_by_xnnpack(path, graph)
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    nodes = [node["op_name"] for node in interpreter._get_ops_details()]

    found = partitions(graph, [i not in left for i in range(len(graph.operators))])

    assert len(found) == nodes.count("DELEGATE") > 1


def test_a_description_names_what_falls_off(exported):
    text = describe_audit(audit_file(exported.paths["float32"]))
    assert "GPU         takes 4 of 5 operators" in text
    assert "1 CAST: casts uint8 to float32" in text
    gpu = audit_file(exported.paths["float32"]).delegate("GPU")
    assert fallen_kinds(gpu) == "CAST"


def test_a_float16_file_is_the_gpus_as_a_whole_pixels_included(exported):
    path = exported.paths["float16"]
    audit = audit_file(path)
    assert {audit.delegate(name).share for name in ("XNNPACK", "GPU")} == {1}
    # The same numbers as with the CAST of the float32 file, but for the weights' rounding.
    (image,) = Interpreter(str(path)).get_input_details()
    assert (image["dtype"], image["quantization"]) == (np.uint8, (1.0, 0))


def damaged_files(content):
    """Yields a name and bytes, of files that are cut short, noise, or hit by a bit flip."""
    rng = np.random.default_rng(seed=0)
    for share in (0.0, 0.1, 0.9):
        yield f"cut at {share}", content[: int(share * len(content))]
    yield "noise", rng.bytes(3000)
    yield "noise with the right mark", b"\x1c\0\0\0TFL3" + rng.bytes(3000)
    for _ in range(4):
        flipped = bytearray(content)
        # In the first half, where the structure lies.
        for place in rng.integers(8, len(content) // 2, size=8):
            flipped[place] ^= 1 << int(rng.integers(8))
        yield "flipped", bytes(flipped)


@pytest.mark.slow
def test_damaged_files_end_in_one_clear_error(exported, tmp_path):
    path = tmp_path / "damaged.tflite"
    for name, content in damaged_files(exported.paths["int8"].read_bytes()):
        path.write_bytes(content)
        # A flip may hit where nothing depends on it; then it is the file it was.
        harmless = contextlib.nullcontext()
        if name == "flipped":
            harmless = contextlib.suppress(pytest.fail.Exception)
        with harmless, pytest.raises(ValueError, match=r"damaged\.tflite cannot be audit"):
            audit_file(path)


def test_a_damaged_onnx_file_is_named(exported, tmp_path):
    path = tmp_path / "damaged.onnx"
    path.write_bytes(exported.paths["onnx"].read_bytes()[:500])
    with pytest.raises(ValueError, match=r"damaged\.onnx is not an \.onnx file"):
        audit_file(path)


FLOAT = Tensor("a", (1, 8, 8, 4), "float32")
SMALL = dataclasses.replace(FLOAT, shape=(1, 4, 4, 4))
INT8 = dataclasses.replace(FLOAT, dtype="int8", scale=0.1, zero_point=3, num_scales=1)
PIXELS = dataclasses.replace(INT8, dtype="uint8", scale=1.0, zero_point=0)
PAIRS = dataclasses.replace(FLOAT, shape=(17, 2))
FIVE = dataclasses.replace(FLOAT, shape=(1, 8, 1, 8, 4))


@pytest.mark.parametrize(
    ("kind", "source", "result", "rule", "reason"),
    [
        pytest.param("RELU", FLOAT, FLOAT, gpu_rule, None, id="gpu_float"),
        pytest.param("RELU", INT8, INT8, gpu_rule, None, id="gpu_int8"),
        pytest.param("RESHAPE", FLOAT, FIVE, gpu_rule, "has 5 dim", id="gpu_rank"),
        pytest.param("GATHER_ND", FLOAT, FLOAT, gpu_rule, "no such op", id="gpu_unknown"),
        pytest.param("CAST", PIXELS, FLOAT, gpu_rule, "casts uint8", id="gpu_cast"),
        pytest.param("DEQUANTIZE", PIXELS, FLOAT, gpu_rule, None, id="gpu_pixels"),
        pytest.param("PAD", PAIRS, PAIRS, gpu_rule, "of 2 dim", id="gpu_pads_maps_only"),
        pytest.param("SLICE", FLOAT, SMALL, gpu_rule, None, id="gpu_slice"),
        pytest.param("SQRT", INT8, INT8, nnapi_rule, "type int8", id="nnapi_float_only"),
        pytest.param(
            "QUANTIZE", PIXELS, INT8, nnapi_rule, "requantizes", id="nnapi_pixels"
        ),
        pytest.param("MEAN", INT8, PIXELS, nnapi_rule, "scales", id="nnapi_mean"),
        pytest.param("RESIZE_BILINEAR", SMALL, FLOAT, coreml_rule, None, id="coreml_float"),
        pytest.param("RESIZE_BILINEAR", INT8, INT8, coreml_rule, "int8", id="coreml_int8"),
        pytest.param("TILE", FLOAT, FLOAT, coreml_rule, "no such op", id="coreml_unknown"),
    ],
)
def test_rules(kind, source, result, rule, reason):
    operator = Operator(kind, ("in",), ("out",))
    graph = Graph(".tflite", {"in": source, "out": result}, (operator,), ("in",), ("out",))
    found = rule(graph, operator)
    assert found is None if reason is None else reason in found


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("STRIDED_SLICE", {"shrinkAxisMask": 0, "newAxisMask": 0}, None),
        ("STRIDED_SLICE", {"shrinkAxisMask": 1}, "drops an axis"),
        ("STRIDED_SLICE", {"newAxisMask": 2}, "adds an axis"),
        ("STRIDED_SLICE", {"ellipsisMask": 1}, "has an ellipsis"),
        ("SOFTMAX", {"beta": 1.0}, None),
        ("SOFTMAX", {"beta": 0.5}, "has beta 0.5"),
    ],
)
def test_the_gpu_has_not_all_options_of_an_operator(kind, options, reason):
    operator = Operator(kind, ("in",), ("out",), options)
    graph = Graph(".tflite", {"in": FLOAT, "out": FLOAT}, (operator,), ("in",), ("out",))
    assert gpu_rule(graph, operator) == reason
