"""Writes small OpenVINO IRs without OpenVINO."""

from xml.sax.saxutils import quoteattr

import numpy as np

KINDS = {"Relu": "ReLU"}


def write_ir(path, nodes, numbers, input_shape):
    """Writes ONNX's nodes and numbers (Conv, Relu, Split, Concat, Add) as an IR.

    Biases become sums, and half-width numbers get a conversion, as OpenVINO writes them.

    Args:
        path: of the `.xml`.
        nodes: of an ONNX graph with one input, "image", and one output, the last node's.
        numbers: name -> array; kernels as (O, I, H, W).
        input_shape: of the input, (1, 3, H, W).
    """
    writer = _Writer()
    places = {"image": writer.layer("Parameter", "image", [], port_shape=input_shape)}
    for node in nodes:
        inputs = [places[name] for name in node.input if name in places]
        kind = KINDS.get(node.op_type, node.op_type)
        if node.op_type == "Conv":
            kernel = numbers[node.input[1]]
            options = {a.name: list(a.ints) for a in node.attribute}
            groups = next(a.i for a in node.attribute if a.name == "group")
            kind = "Convolution"
            if groups > 1:
                kind, kernel = "GroupConvolution", kernel[:, None]
            strides = ",".join(map(str, options["strides"]))
            (y,) = [
                writer.layer(kind, "c", [*inputs, writer.constant(kernel)], strides=strides)
            ]
            bias = writer.constant(numbers[node.input[2]].reshape(1, -1, 1, 1))
            places[node.output[0]] = writer.layer("Add", "s", [y, bias])
        elif node.op_type == "Split":
            axis = writer.constant(np.int64(1))
            layer, _ = writer.layer("Split", "split", [inputs[0], axis], num_outputs=2)
            for i, name in enumerate(node.output):
                places[name] = (layer, str(2 + i))
        else:
            places[node.output[0]] = writer.layer(kind, "o", inputs)
    writer.layer("Result", "result", [places[nodes[-1].output[0]]], num_outputs=0)
    path.write_text(writer.text())
    path.with_suffix(".bin").write_bytes(writer.content)
    return path


class _Writer:
    def __init__(self):
        self.layers, self.edges, self.content = [], [], b""

    def layer(self, kind, name, inputs, num_outputs=1, port_shape=(), **data):
        """Adds a layer; returns its number and its first output's port."""
        index = str(len(self.layers))
        for port, (source, source_port) in enumerate(inputs):
            self.edges.append(
                f'<edge from-layer="{source}" from-port="{source_port}" '
                f'to-layer="{index}" to-port="{port}"/>'
            )
        options = " ".join(f"{key}={quoteattr(str(x))}" for key, x in data.items())
        dims = "".join(f"<dim>{size}</dim>" for size in port_shape)
        ports = [f'<port id="{i}"/>' for i in range(len(inputs))]
        outputs = [
            f'<port id="{len(inputs) + i}">{dims}</port>' for i in range(num_outputs)
        ]
        self.layers.append(
            f'<layer id="{index}" name="{name}" type="{kind}" version="opset1">'
            f"<data {options}/><input>{''.join(ports)}</input>"
            f"<output>{''.join(outputs)}</output></layer>"
        )
        return index, str(len(inputs))

    def constant(self, array):
        array = np.asarray(array)
        kind = f"{array.dtype.kind}{8 * array.dtype.itemsize}"
        place = self.layer(
            "Const", "constant", [], element_type=kind, offset=len(self.content),
            shape=", ".join(map(str, array.shape)), size=array.nbytes,
        )  # fmt: skip
        self.content += array.tobytes()
        if kind != "f16":
            return place
        return self.layer("Convert", "widened", [place], destination_type="f32")

    def text(self):
        return (
            '<?xml version="1.0"?>\n<net name="x" version="11"><layers>'
            + "".join(self.layers)
            + f"</layers><edges>{''.join(self.edges)}</edges></net>\n"
        )
