"""Backbones of KerasHub as trunks: by preset name, or as they are."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from keras_pose.pictures.normalization import IMAGENET, Normalization

EXTRA = "pip install keras_pose[keras-hub]"
PIXEL_MAX = 255


def open_backbone(backbone: Any, load_weights: bool = True):
    """Returns a trunk, and what its pictures go through if its preset says that.

    Args:
        backbone: name of a KerasHub preset such as "hgnetv2_b4_ssld_stage2_ft_in1k", or a
            functional Keras model.
        load_weights: True to load the weights of a preset.

    Returns:
        The model, and a `Normalization`, or None where nothing says it.

    Raises:
        ImportError: for a name, where KerasHub is not installed; says how to get it.
        ValueError: for a name that KerasHub does not know.
    """
    if not isinstance(backbone, str):
        return backbone, None
    keras_hub = _keras_hub()
    try:
        trunk = keras_hub.models.Backbone.from_preset(backbone, load_weights=load_weights)
    except ValueError as error:
        raise ValueError(
            f"KerasHub has no backbone {backbone!r} that can be loaded: {error}"
        ) from error
    return trunk, _preset_normalization(keras_hub, backbone)


def _keras_hub():
    try:
        return importlib.import_module("keras_hub")
    except ModuleNotFoundError as error:
        if error.name != "keras_hub":
            raise
        raise ImportError(
            "Backbones of KerasHub need the package keras-hub, which is not installed: "
            f"{EXTRA}"
        ) from error


def _preset_normalization(keras_hub, preset: str) -> Normalization | None:
    """Returns what KerasHub's converter of pictures does, if the preset has one."""
    try:
        converter = keras_hub.layers.ImageConverter.from_preset(preset)
    except ValueError:
        return None
    return converter_normalization(converter)


def converter_normalization(converter) -> Normalization:
    """Translates `pixels * scale + offset` into mean and deviation.

    Args:
        converter: KerasHub's ImageConverter, whose scale and offset are numbers, one per
            channel, or None.
    """
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    std = np.broadcast_to(1 / (PIXEL_MAX * np.asarray(scale, float)), 3)
    mean = -np.broadcast_to(np.asarray(offset, float), 3) * std
    return Normalization(_three(mean), _three(std))


def _three(values) -> tuple[float, float, float]:
    first, second, third = map(float, values)
    return first, second, third


def usual_normalization(found: Normalization | None) -> Normalization:
    """Returns what a preset says, or else ImageNet's mean and deviation."""
    return found or IMAGENET
