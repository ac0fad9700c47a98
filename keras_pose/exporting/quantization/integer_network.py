"""The network that integer files are made of: its channels have like ranges."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_pose.contracts.activation_ranges import ranges_of
from keras_pose.contracts.detector import ModelContract
from keras_pose.exporting.float_graph.serving import in_float32, traced
from keras_pose.exporting.quantization.calibration import check_calibration
from keras_pose.models.equalization import NUM_CROPS, prepare_for_integers
from keras_pose.models.rescaled_silu import RescaledSilu, silu_before_depthwise


def equalized(model, contract: ModelContract, crops, rescales_silu: bool = True) -> Any:
    """Brings the channels of each tensor to like ranges, see `models.equalization`.

    Args:
        model: Keras model of normalised images; it stays as it is.
        contract: contract of the model, with its normalisation.
        crops: (N, H, W, 3) uint8; the first are measured on. Those chosen to calibrate
            begin with who are least alike.
        rescales_silu: let factors pass SiLU before depthwise convolutions, too.

    Returns:
        A copy that gives what the model gives, but for channels that integers would hold
        as 0; or the model itself, where no channel changes, and where ranges are known
        from training: they are of its tensors.

    Raises:
        ValueError: for crops that do not fit the model.
    """
    check_calibration(crops, contract.input_hw)
    if ranges_of(model) or contract.normalization is None:
        return model
    rescaled = set(silu_before_depthwise(model)) if rescales_silu else set()

    def replacement(layer, own):
        if layer.name in rescaled:
            return RescaledSilu(name=layer.name, dtype="float32")
        return None

    copy = in_float32(model, replacement)
    if copy is model:
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
    images = contract.normalization(np.asarray(crops[:NUM_CROPS])).astype(np.float32)
    return copy if prepare_for_integers(copy, images, traced) else model
