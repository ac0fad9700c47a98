"""Weights of a `.keras` or `.weights.h5` file into a model, by layer name.

Keras' own `load_weights` matches layers by class and order, and passes over tensors
that the model has no place for: the file of a two-stack network may load into a
one-stack network without a word. Here names and shapes must match one to one.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np

NUM_NAMES_SHOWN = 3


def load_weights(model: keras.Model, path: str | Path) -> None:
    """Fills every layer of a model from a file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no Keras weights file, is damaged, or has other layers or
            shapes than the model.
    """
    fill_layers(model, read_layers(path), path)


def fill_layers(model: keras.Model, stored: dict[str, list[np.ndarray]], path) -> None:
    """Fills every layer of a model with what `read_layers` found.

    Raises:
        ValueError: if the layers or shapes are not those of the model; names `path`.
    """
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    _check_keypoints(model, stored, path)
    _check_names(model.name, set(layers), set(stored), path)
    for name, layer in layers.items():
        expected = [tuple(weight.shape) for weight in layer.weights]
        found = [array.shape for array in stored[name]]
        if found != expected:
            raise ValueError(
                f"{path} does not fit {model.name}: layer {name} has the shapes "
                f"{expected}, in the file {found}."
            )
    for name, layer in layers.items():
        layer.set_weights(stored[name])


def read_layers(path: str | Path) -> dict[str, list[np.ndarray]]:
    """Reads layer name -> tensors, in the order of the layer's `weights`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no Keras weights file, or is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Weights file {path} does not exist.")
    try:
        if path.name.endswith(".weights.h5"):
            with h5py.File(path, "r") as file:
                return _layers_of(file)
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                content = io.BytesIO(archive.read("model.weights.h5"))
            with h5py.File(content, "r") as file:
                return _layers_of(file)
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is not a Keras weights file, or it is damaged: {error}."
        ) from error
    raise ValueError(f"Weights must be a .keras or .weights.h5 file, got {path}.")


def _layers_of(file: h5py.File) -> dict[str, list[np.ndarray]]:
    stored = {}
    for group in file["layers"].values():
        tensors = group.get("vars")
        if tensors is not None and len(tensors):
            arrays = [tensors[str(index)][()] for index in range(len(tensors))]
            stored[str(tensors.attrs["name"])] = arrays
    return stored


def _check_keypoints(model, stored, path) -> None:
    """Raises a clear error if the file is the same network for another skeleton."""
    output_layer = model.get_layer(model.output_names[-1])
    if output_layer.name not in stored:
        return
    wanted = output_layer.weights[0].shape[-1]
    found = stored[output_layer.name][0].shape[-1]
    if found != wanted:
        raise ValueError(
            f"{path} holds weights for {found} keypoints, but {model.name} was asked "
            f"for {wanted}. Pass num_keypoints={found}, or other weights."
        )


def _check_names(model_name: str, wanted: set, found: set, path) -> None:
    missing, unused = sorted(wanted - found), sorted(found - wanted)
    if missing or unused:
        raise ValueError(
            f"{path} does not fit {model_name}: it lacks {_summary(missing)} and has "
            f"{_summary(unused)} that the model does not."
        )


def _summary(names: list[str]) -> str:
    """Names a few of many, such as "4 layers (conv1, bn1, conv2, ...)"."""
    if not names:
        return "no layer"
    shown = ", ".join(names[:NUM_NAMES_SHOWN])
    more = ", ..." if len(names) > NUM_NAMES_SHOWN else ""
    return f"{len(names)} layers ({shown}{more})"
