#!/usr/bin/env bash
# ONNX Runtime 1.31.1 does not leave a convolution in float that stands between
# DequantizeLinear and QuantizeLinear: its optimizer WeightBiasQuantization makes the weights
# int8 when the file is opened, with one scale for all output channels, whatever the file's
# other weights have. A convolution that was left in float because int8 ruins it (channels of
# very different sizes) is ruined all the same, without a word, and worse than by weights with
# a scale a channel in the file. With that optimizer disabled the file computes what stands in
# it.
# Seen: 1x1 convolution, one channel's weights 200 times as small as the other's: error of the
# small channel over its deviation 0.436 as opened, 0.008 without the optimizer.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    numpy==2.4.6 onnx==1.22.0 onnxruntime==1.31.1 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)
# Two output channels; the second one's weights are 200 times as small, and its bias is 0.
weights = rng.normal(size=(2, 8, 1, 1)) * np.array([1.0, 0.005])[:, None, None, None]
arrays = {
    "in_scale": np.float32(1 / 64),
    "in_zero": np.uint8(128),
    "w": weights.astype(np.float32),
    "b": np.zeros(2, np.float32),
    "out_scale": np.float32(0.0004),
    "out_zero": np.uint8(128),
}
nodes = [
    helper.make_node("QuantizeLinear", ["x", "in_scale", "in_zero"], ["x_q"]),
    helper.make_node("DequantizeLinear", ["x_q", "in_scale", "in_zero"], ["x_d"]),
    helper.make_node("Conv", ["x_d", "w", "b"], ["y"]),
    helper.make_node("QuantizeLinear", ["y", "out_scale", "out_zero"], ["y_q"]),
    helper.make_node("DequantizeLinear", ["y_q", "out_scale", "out_zero"], ["out"]),
]
described = helper.make_tensor_value_info
graph = helper.make_graph(
    nodes,
    "one",
    [described("x", TensorProto.FLOAT, [1, 8, 16, 16])],
    [described("out", TensorProto.FLOAT, [1, 2, 16, 16])],
    [numpy_helper.from_array(array, name) for name, array in arrays.items()],
)
model = helper.make_model(
    graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
)
onnx.checker.check_model(model, full_check=True)
values = rng.normal(size=(1, 8, 16, 16)).clip(-1.9, 1.9).astype(np.float32)
steps = np.rint(values / np.float32(1 / 64)) / 64
exact = np.einsum("oi,bihw->bohw", weights[:, :, 0, 0], steps)[:, 1]


def error(**options):
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), settings, ["CPUExecutionProvider"], **options
    )
    found = session.run(None, {"x": values})[0][:, 1]
    return float(np.sqrt(np.mean((found - exact) ** 2)) / exact.std())


opened = error()
disabled = error(disabled_optimizers=["WeightBiasQuantization"])
print(f"error of the small channel: as opened {opened:.3f}, "
      f"without WeightBiasQuantization {disabled:.3f}")
assert disabled < 0.02, "the file itself is off"
assert opened > 10 * disabled, "the convolution stays float: the behaviour has changed"
PYTHON
