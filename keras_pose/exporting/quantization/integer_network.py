"""The network that integer files are made of: its channels have like ranges."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from keras_pose.contracts.activation_ranges import ranges_of
from keras_pose.contracts.detector import ModelContract
from keras_pose.exporting.float_graph.serving import in_float32, traced
from keras_pose.exporting.quantization.calibration import check_calibration
from keras_pose.models.equalization import NUM_CROPS, Peaks, prepare_for_integers
from keras_pose.models.rescaled_silu import RescaledSilu, silu_before_depthwise


def equalized(model, contract: ModelContract, crops) -> Any:
    """Brings the channels of each tensor to like ranges, see `models.equalization`.

    Factors pass SiLU before depthwise convolutions, too.

    Args:
        model: Keras model of normalised images; it stays as it is.
        contract: contract of the model, with its normalisation.
        crops: (N, H, W, 3) uint8; the first are measured on. Those chosen to calibrate
            begin with who are least alike.

    Returns:
        A copy that gives what the model gives, but for channels that integers would hold
        as 0; or the model itself, where no channel changes, and where ranges are known
        from training: they are of its tensors.

    Raises:
        ValueError: for crops that do not fit the model.
    """
    images = _images(model, contract, crops)
    if images is None:
        return model
    rescaled = set(silu_before_depthwise(model))

    def replacement(layer, own):
        if layer.name in rescaled:
            return RescaledSilu(name=layer.name, dtype="float32")
        return None

    copy = in_float32(model, replacement)
    if copy is model:
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
    return copy if prepare_for_integers(copy, images, traced) else model


def equalized_weights(
    model, contract: ModelContract, crops, peaks: Callable[[], Peaks | None]
) -> list[np.ndarray] | None:
    """Returns the weights of the `equalized` network, whose layers are the model's.

    A copy of a large network takes as long to build as its file to convert.

    Args:
        model: Keras model that computes in float32. It has other weights while this runs.
        contract: see `equalized`.
        crops: see `equalized`.
        peaks: what measures how far channels reach on them; it may give None, and they are
            run once more.

    Returns:
        The weights in the order of `get_weights`; None where no channel changes.
    """
    images = _images(model, contract, crops)
    if images is None:
        return None
    with holding(model, model.get_weights()):
        is_changed = prepare_for_integers(model, images, traced, peaks())
        return model.get_weights() if is_changed else None


@contextlib.contextmanager
def holding(model, weights: list[np.ndarray]) -> Iterator[None]:
    """Gives a model other weights as long as the block lasts."""
    before = model.get_weights()
    try:
        model.set_weights(weights)
        yield
    finally:
        model.set_weights(before)


def _images(model, contract: ModelContract, crops) -> np.ndarray | None:
    """Returns what is measured on; None for a network that stays as it is.

    Raises:
        ValueError: for crops that do not fit the model.
    """
    check_calibration(crops, contract.input_hw)
    if ranges_of(model) or contract.normalization is None:
        return None
    images: np.ndarray = contract.normalization(np.asarray(crops[:NUM_CROPS]))
    return images.astype(np.float32)
