#!/usr/bin/env bash
# litert-quantizer 0.11.0, 16-bit activations with 8-bit weights: a bias that 32 bits do not
# hold changes its sign. Biases are stored in 64 bits there, in steps of input times weight,
# but are brought to 32 bits first; where all weights of an output channel are tiny (a channel
# that training switched off, as in RTMDet-nano's published attention), +3 becomes a small
# negative number, and a gate that was open is shut. No error is raised: at most NumPy warns
# of a cast.
# Seen: 1x1 convolution, inputs of 0.5, bias 3, weights of 1 and of 1e-6: float file 3.4 and
# 3.0, int16x8 file 3.4 and -0.0002.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    numpy==2.4.6 tensorflow==2.21.0 ai-edge-litert==2.3.0 litert-quantizer==0.11.0 \
    2>/dev/null
cd "$folder"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import warnings

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from litert_quantizer import quantizer

SIZES = [1.0, 1e-6]
kernel = np.array([[[[0.5, -0.5], [0.3, 0.4]]]], np.float32) * np.float32(SIZES)


@tf.function(input_signature=[tf.TensorSpec([1, 4, 4, 2], tf.float32, name="x")])
def gates(x):
    return {"y": tf.nn.conv2d(x, kernel, 1, "SAME") + tf.constant([3.0, 3.0])}


converter = tf.lite.TFLiteConverter.from_concrete_functions(
    [gates.get_concrete_function()]
)
content = converter.convert()


def run(content, values):
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (image,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    steps = image["quantization"][0] or 1
    interpreter.set_tensor(image["index"], (values / steps).astype(image["dtype"]))
    interpreter.invoke()
    found = interpreter.get_tensor(out["index"]).astype(np.float64)
    return found.mean(axis=(0, 1, 2)) * (out["quantization"][0] or 1)


names = {}
interpreter = Interpreter(model_content=content)
for each in interpreter.get_input_details() + interpreter.get_output_details():
    names[each["name"]] = each["index"]
(image, out) = names
limits = {
    image: {"min": np.float32([[-1.0]]), "max": np.float32([[1.0]])},
    out: {"min": np.float32([[0.0]]), "max": np.float32([[4.0]])},
}
tool = quantizer.Quantizer(bytearray(content))
tool.add_static_config(".*", "*", activation_num_bits=16, weight_num_bits=8)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    result = tool.quantize(limits, enable_progress_bar=False, enable_progress_report=False)

values = np.full((1, 4, 4, 2), 0.5, np.float32)
exact, found = run(content, values), run(bytes(result.quantized_model), values)
print("weights of", SIZES, "float32:", exact.round(3), "int16x8:", found.round(4))
assert np.allclose(exact, 3, atol=0.6)
assert abs(found[0] - exact[0]) < 0.01, "the living channel is off"
assert -0.01 < found[1] < 0, "the bias no longer wraps: the behaviour has changed"
PYTHON
