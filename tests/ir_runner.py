"""Runs OpenVINO IRs of convolutional networks without OpenVINO, as ONNX.

Every layer becomes the ONNX operator of the same meaning, with sizes as they stand in the
IR. Nothing of `keras_pose` is used, so it can be compared with.
"""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

DTYPES = {"f16": "<f2", "f32": "<f4", "i64": "<i8", "i32": "<i4"}
PLAIN = {"Add": "Add", "ReLU": "Relu"}


def run_ir(path, image):
    """Returns the first output of an IR for a (1, 3, H, W) float32 image."""
    graph = _Translator(Path(path)).graph()
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: image})[0]


class _Translator:
    def __init__(self, path):
        root = ElementTree.parse(path).getroot()
        self.numbers = path.with_suffix(".bin").read_bytes()
        self.layers = {layer.get("id"): layer for layer in root.iter("layer")}
        self.makers = {
            (edge.get("to-layer"), edge.get("to-port")): (
                edge.get("from-layer"),
                edge.get("from-port"),
            )
            for edge in root.iter("edge")
        }
        self.nodes, self.constants, self.done = [], {}, set()

    def graph(self):
        result = next(x for x in self.layers.values() if x.get("type") == "Result")
        (output,) = self.inputs(result)
        (image,) = (x for x in self.layers.values() if x.get("type") == "Parameter")
        shape = dims(image.find("output/port"))
        return helper.make_graph(
            self.nodes,
            "ir",
            [
                helper.make_tensor_value_info(
                    f"{image.get('id')}_0", TensorProto.FLOAT, shape
                )
            ],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            [numpy_helper.from_array(x, name) for name, x in self.constants.items()],
        )

    def inputs(self, layer):
        """Names a layer's inputs, once what makes them stands in the graph."""
        makers = [
            self.makers[layer.get("id"), port.get("id")]
            for port in layer.findall("input/port")
        ]
        for maker, _ in makers:
            self.add(self.layers[maker])
        return [f"{maker}_{port}" for maker, port in makers]

    def add(self, layer):
        """Adds a layer to the graph, and before it all that it needs."""
        if layer.get("id") in self.done:
            return
        self.done.add(layer.get("id"))
        kind, data = layer.get("type"), layer.find("data")
        ports = layer.findall("output/port")
        outputs = [f"{layer.get('id')}_{port.get('id')}" for port in ports]
        if kind == "Parameter":
            return
        if kind == "Const":
            self.constants[outputs[0]] = self.values(data)
            return
        if kind == "Interpolate":  # its sizes are computed; here they are read
            maker, port = self.makers[layer.get("id"), "0"]
            self.add(self.layers[maker])
            self.resize(f"{maker}_{port}", dims(ports[0]), data, outputs)
            return
        inputs = self.inputs(layer)
        if kind == "Convert":
            self.constants[outputs[0]] = self.constants[inputs[0]].astype("float32")
        elif kind in ("Convolution", "GroupConvolution"):
            self.convolve(inputs, data, outputs, kind == "GroupConvolution")
        elif kind in PLAIN:
            self.nodes.append(helper.make_node(PLAIN[kind], inputs, outputs))
        elif kind == "Concat":
            axis = int(data.get("axis"))
            self.nodes.append(helper.make_node(kind, inputs, outputs, axis=axis))
        elif kind == "Split":
            axis = int(self.constants[inputs[1]])
            node = helper.make_node(
                kind, inputs[:1], outputs, axis=axis, num_outputs=len(outputs)
            )
            self.nodes.append(node)
        elif kind == "Reshape":
            self.nodes.append(helper.make_node(kind, inputs, outputs))
        elif kind == "Transpose":
            order = self.constants[inputs[1]].tolist()
            self.nodes.append(helper.make_node(kind, inputs[:1], outputs, perm=order))
        else:
            raise ValueError(f"{kind} is not translated.")

    def convolve(self, inputs, data, outputs, is_grouped):
        kernel, groups = self.constants[inputs[1]], 1
        if is_grouped:
            groups = len(kernel)
            name = f"{inputs[1]}_joined"
            self.constants[name] = kernel.reshape(-1, *kernel.shape[2:])
            inputs = [inputs[0], name]
        pads = [*numbers(data, "pads_begin"), *numbers(data, "pads_end")]
        options = {"strides": numbers(data, "strides"), "pads": pads, "group": groups}
        self.nodes.append(helper.make_node("Conv", inputs, outputs, **options))

    def resize(self, x, shape, data, outputs):
        self.constants[f"{outputs[0]}_size"] = np.array(shape, np.int64)
        is_nearest = data.get("mode") == "nearest"
        node = helper.make_node(
            "Resize",
            [x, "", "", f"{outputs[0]}_size"],
            outputs,
            mode="nearest" if is_nearest else "linear",
            nearest_mode="floor",
            coordinate_transformation_mode=data.get("coordinate_transformation_mode"),
        )
        self.nodes.append(node)

    def values(self, data):
        start, size = int(data.get("offset")), int(data.get("size"))
        shape = numbers(data, "shape")
        dtype = DTYPES[data.get("element_type")]
        values = np.frombuffer(self.numbers[start : start + size], dtype)
        # ONNX wants sizes in 64 bits.
        values = values.astype(np.int64) if values.dtype.kind == "i" else values
        return values.reshape(shape)


def numbers(data, name):
    return [int(x) for x in data.get(name).split(",") if x.strip()]


def dims(port):
    return [int(size.text) for size in port.findall("dim")]
