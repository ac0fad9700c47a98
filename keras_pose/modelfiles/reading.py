"""The graph of a model file of any kind."""

from __future__ import annotations

from pathlib import Path

from keras_pose.modelfiles.graph import Graph


def read_graph(path) -> Graph:
    """Reads the graph of a `.tflite` or `.onnx` file.

    Raises:
        ValueError: for another type of file, or a damaged one.
        FileNotFoundError: for a file that is not there.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Model file {path} does not exist.")
    if path.suffix == ".tflite":
        from keras_pose.modelfiles.flatbuffer import tflite_graph

        return tflite_graph(path)
    if path.suffix == ".onnx":
        from keras_pose.modelfiles.onnx_graph import onnx_graph

        return onnx_graph(path)
    raise ValueError(f"Graphs are read from .tflite and .onnx files, got {path}.")
