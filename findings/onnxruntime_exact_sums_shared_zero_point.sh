#!/usr/bin/env bash
# ONNX Runtime 1.31.1 refuses a valid quantized model in which two convolutions' int8 weights
# have one zero point tensor between them, but only where the session asks for exact integer
# sums (session.x64quantprecision=1, which x86 processors without VNNI need for right
# results): an error of an existing tensor. onnx's checker takes the model, and without that
# entry, or with a zero point of its own for each convolution, the session starts.
# Seen on x86-64 with AVX-512 VNNI: shared zero point, sums as they come: starts; exact sums:
# "Attempt to replace the existing tensor". Own zero points: starts both ways.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    numpy==2.4.6 onnx==1.22.0 onnxruntime==1.31.1 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON'
import platform

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def two_convolutions(shares_zero_point):
    random = np.random.default_rng(0)
    arrays = {
        "scale": np.float32(0.02),
        "zero": np.uint8(128),
        "weight_scales": np.full(4, 0.01, np.float32),
    }
    quantize, dequantize = "QuantizeLinear", "DequantizeLinear"
    nodes = [
        helper.make_node(quantize, ["x", "scale", "zero"], ["x_q"]),
        helper.make_node(dequantize, ["x_q", "scale", "zero"], ["x_d"]),
    ]
    for k in "ab":
        zero = "weight_zeros" if shares_zero_point else f"weight_zeros_{k}"
        arrays[zero] = np.zeros(4, np.int8)
        arrays[f"w_{k}"] = random.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
        weights = [f"w_{k}", "weight_scales", zero]
        nodes += [
            helper.make_node(dequantize, weights, [f"w_d_{k}"], axis=0),
            helper.make_node("Conv", ["x_d", f"w_d_{k}"], [f"y_{k}"]),
            helper.make_node(quantize, [f"y_{k}", "scale", "zero"], [f"y_q_{k}"]),
            helper.make_node(dequantize, [f"y_q_{k}", "scale", "zero"], [f"out_{k}"]),
        ]
    described = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "two",
        [described("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [described(f"out_{k}", TensorProto.FLOAT, [1, 4, 6, 6]) for k in "ab"],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def starts(shares_zero_point, wants_exact_sums):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry(
        "session.x64quantprecision", str(int(wants_exact_sums))
    )
    try:
        onnxruntime.InferenceSession(
            two_convolutions(shares_zero_point), options, ["CPUExecutionProvider"]
        )
    except Exception as error:
        assert "replace the existing tensor" in str(error), error
        return False
    return True


if platform.machine() not in ("x86_64", "AMD64"):
    raise SystemExit("exact sums are a setting for x86-64")
found = {}
for shared in (True, False):
    for exact in (False, True):
        found[shared, exact] = starts(shared, exact)
        kind = "one zero point" if shared else "two zero points"
        sums = "exact sums" if exact else "sums as they come"
        print(f"{kind}, {sums}: {'starts' if found[shared, exact] else 'refused'}")
expected = {(True, False): True, (True, True): False, (False, False): True,
            (False, True): True}
assert found == expected, "ONNX Runtime behaves otherwise now"
PYTHON
