"""Networks as files of operators: OpenVINO's IR and ONNX, read and not run."""

from __future__ import annotations

from pathlib import Path

from keras_pose.weights.operators import NetworkFile

NETWORK_ENDINGS = (".onnx", ".xml")


def is_network_file(path) -> bool:
    """Returns True for the endings of files of operators."""
    return Path(path).suffix in NETWORK_ENDINGS


def read_network(path) -> NetworkFile:
    """Reads an `.onnx` file, or the `.xml` of an IR with its `.bin` beside it.

    Raises:
        FileNotFoundError: if one of the files is absent.
        ValueError: if a file is damaged, or of another format.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Network {path} does not exist.")
    if path.suffix == ".onnx":
        from keras_pose.weights.onnx_reader import read_onnx

        return read_onnx(path)
    from keras_pose.weights.openvino_reader import read_openvino

    return read_openvino(path)
