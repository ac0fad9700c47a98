#!/usr/bin/env bash
# ai-edge-litert 2.3.0 for Linux (x86-64): CpuOptions(enable_ynnpack=True) cannot be had. Its
# docstring says "Builds without YNNPACK support fall back to XNNPACK", but a CompiledModel
# with that option does not fall back: from_buffer raises RuntimeError. The package's library
# holds the words "YNNPACK support was not compiled into this build". The nightly build
# 2.4.0.dev20261026 refuses it likewise: "the YNNPACK accelerator is not registered or linked".
# Seen: without the option 1 + 2 = 3; with it, RuntimeError.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  ai-edge-litert==2.3.0 2>/dev/null
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import importlib.metadata
import inspect

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.cpu_options import CpuOptions
from ai_edge_litert.hardware_accelerator import HardwareAccelerator
from ai_edge_litert.options import Options


def sum_of_two():
    """Returns a .tflite file of one ADD of two numbers."""
    graph, code, operator = schema.SubGraphT(), schema.OperatorCodeT(), schema.OperatorT()
    graph.tensors = [schema.TensorT() for _ in range(3)]
    for index, tensor in enumerate(graph.tensors):
        tensor.name, tensor.shape, tensor.buffer = b"t%d" % index, [1], 0
        tensor.type = schema.TensorType.FLOAT32
    graph.inputs, graph.outputs, graph.operators = [0, 1], [2], [operator]
    operator.inputs, operator.outputs = [0, 1], [2]
    operator.builtinOptionsType = schema.BuiltinOptions.AddOptions
    operator.builtinOptions = schema.AddOptionsT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ADD
    code.version = 1
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def add(one, two, with_ynnpack):
    """Adds two numbers in a CompiledModel."""
    model = CompiledModel.from_buffer(
        sum_of_two(),
        options=Options(
            hardware_accelerators=HardwareAccelerator.CPU,
            cpu_options=CpuOptions(num_threads=1, enable_ynnpack=with_ynnpack),
        ),
    )
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    for buffer, value in zip(inputs, (one, two)):
        buffer.write(np.array([value], np.float32))
    model.run_by_index(0, inputs, outputs)
    return float(outputs[0].read(1, np.float32)[0])


text = " ".join(inspect.getdoc(CpuOptions).split())
print(f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}")
assert "Builds without YNNPACK support fall back to XNNPACK" in text, text
print(f"without YNNPACK: 1 + 2 = {add(1, 2, False)}")
assert add(1, 2, False) == 3
try:
    print(f"with YNNPACK: 1 + 2 = {add(1, 2, True)}")
except RuntimeError as error:
    print(f"with YNNPACK: RuntimeError: {str(error).splitlines()[0]} ...")
else:
    raise SystemExit("YNNPACK runs now: this finding is out of date")
PYTHON
