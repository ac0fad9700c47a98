"""OpenVINO's intermediate representation: an `.xml` of layers, a `.bin` of numbers.

Source: docs.openvino.ai, "Operation Sets in OpenVINO", and the IR's format of versions
10 and 11. Numbers are sliced out of the `.bin`, so no file can claim more than it has.
"""

from __future__ import annotations

import math
import mmap
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from keras_pose.weights.operators import NetworkFile, Operator

# Element types of numbers that kernels, biases and shapes come in.
_DTYPES = {
    **{"f64": "<f8", "f32": "<f4", "f16": "<f2", "i64": "<i8", "i32": "<i4"},
    **{"i16": "<i2", "i8": "<i1", "u8": "<u1", "u64": "<u8", "u32": "<u4"},
}
# Layers that stand for the ends of the network, or for constants.
_PARAMETER, _RESULT, _CONSTANT, _CONVERT = "parameter", "result", "const", "convert"
_MAX_XML_BYTES = 64 * 2**20


def read_openvino(path) -> NetworkFile:
    """Reads an IR; its numbers lie beside it, under the same name and `.bin`.

    Raises:
        FileNotFoundError: if there is no such `.bin`.
        ValueError: if one of the two is damaged, or not of this format.
    """
    path = Path(path)
    numbers = path.with_suffix(".bin")
    if not numbers.is_file():
        raise FileNotFoundError(f"{path} needs its numbers in {numbers}: no such file.")
    try:
        root = _parse(path.read_bytes())
        with numbers.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return _Reader(root, memoryview(content)).read()
    except (
        *(ValueError, KeyError, TypeError, AttributeError, OverflowError),
        *(ElementTree.ParseError, RecursionError),
    ) as error:
        message = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(
            f"{path} is not an OpenVINO IR, or it is damaged: {message}"
        ) from error


def _parse(text: bytes) -> ElementTree.Element:
    if len(text) > _MAX_XML_BYTES:
        raise ValueError(f"its {len(text)} bytes are more than any network takes.")
    if b"<!" in text.replace(b"<!--", b""):
        # Declarations of entities could make a small file grow without bound.
        raise ValueError("it has declarations, which an IR never has.")
    root = ElementTree.fromstring(text)
    if root.tag != "net" or root.find("layers") is None or root.find("edges") is None:
        raise ValueError(f"its root is <{root.tag}>, not <net> with layers and edges.")
    return root


class _Reader:
    """Builds the network; a tensor is named after its layer and port."""

    def __init__(self, root: ElementTree.Element, content: memoryview):
        self.content = content
        self.layers = root.findall("layers/layer")
        self.makers = {
            (edge.attrib["to-layer"], edge.attrib["to-port"]): _tensor(
                edge.attrib["from-layer"], edge.attrib["from-port"]
            )
            for edge in root.findall("edges/edge")
        }
        self.constants: dict[str, np.ndarray] = {}
        self.inputs: dict[str, tuple[int | None, ...]] = {}
        self.outputs: list[str] = []
        self.operators: list[Operator] = []

    def read(self) -> NetworkFile:
        for layer in self.layers:
            if layer.attrib["type"].lower() == _CONSTANT:
                (tensor,) = self._outputs(layer)
                self.constants[tensor] = self._values(layer)
        for layer in self.layers:
            self._read_layer(layer)
        return NetworkFile(self.operators, self.constants, self.inputs, self.outputs)

    def _read_layer(self, layer: ElementTree.Element) -> None:
        kind = layer.attrib["type"].lower()
        inputs, outputs = self._inputs(layer), self._outputs(layer)
        if kind == _PARAMETER:
            self.inputs[outputs[0]] = _shape_of_port(layer)
        elif kind == _RESULT:
            self.outputs.extend(inputs)
        elif kind == _CONVERT and inputs[0] in self.constants:
            # Kernels are kept in half precision, and widened when the network is loaded.
            self.constants[outputs[0]] = self.constants[inputs[0]]
        elif kind != _CONSTANT:
            if kind == "groupconvolution":
                kind = "convolution"
                self._join_groups(inputs[1])
            self.operators.append(
                Operator(
                    kind, layer.attrib["name"], inputs, outputs, strides=_strides(layer)
                )
            )

    def _join_groups(self, tensor: str) -> None:
        """Turns a (G, O / G, I / G, H, W) kernel into (O, I / G, H, W)."""
        kernel = self.constants.get(tensor)
        if kernel is not None and kernel.ndim == 5:
            self.constants[tensor] = kernel.reshape(-1, *kernel.shape[2:])

    def _inputs(self, layer: ElementTree.Element) -> tuple[str, ...]:
        ports = layer.findall("input/port")
        return tuple(self.makers[layer.attrib["id"], p.attrib["id"]] for p in ports)

    @staticmethod
    def _outputs(layer: ElementTree.Element) -> tuple[str, ...]:
        ports = layer.findall("output/port")
        return tuple(_tensor(layer.attrib["id"], p.attrib["id"]) for p in ports)

    def _values(self, layer: ElementTree.Element) -> np.ndarray:
        data = _data(layer)
        kind = data["element_type"]
        if kind not in _DTYPES:
            # Of no use to kernels, but a network may hold words or bits elsewhere.
            return np.zeros(0)
        dtype = np.dtype(_DTYPES[kind])
        shape = tuple(int(size) for size in data["shape"].split(",") if size.strip())
        offset, size = int(data["offset"]), int(data["size"])
        if min(offset, size, *shape, 0) < 0 or math.prod(shape) * dtype.itemsize != size:
            raise ValueError(
                f"layer {layer.attrib['name']} has {size} bytes for {shape} {kind}."
            )
        stored = self.content[offset : offset + size]
        if len(stored) != size:
            raise ValueError(
                f"layer {layer.attrib['name']} lies beyond the end of the .bin file."
            )
        return np.frombuffer(stored, dtype).reshape(shape)


def _tensor(layer: str, port: str) -> str:
    return f"{layer}:{port}"


def _data(layer: ElementTree.Element) -> dict[str, str]:
    data = layer.find("data")
    return {} if data is None else data.attrib


def _strides(layer: ElementTree.Element) -> tuple[int, int]:
    written = _data(layer).get("strides", "")
    sizes = tuple(int(size) for size in written.split(",") if size.strip())
    return sizes if len(sizes) == 2 else (1, 1)


def _shape_of_port(layer: ElementTree.Element) -> tuple[int | None, ...]:
    sizes = [int(size.text or -1) for size in layer.findall("output/port/dim")]
    return tuple(size if size >= 0 else None for size in sizes)
