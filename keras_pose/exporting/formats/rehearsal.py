"""An int8 file rehearsed in Keras: what would be refused after minutes is refused before.

Conversion and calibration of an HRNet take minutes, and then its int8 file may be refused,
because the network's batch norms have not settled (`quantization.settling`). Networks of
random weights have not, either, and convert well; so only a forward pass with rounded
kernels and tensors tells.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection

import keras
import numpy as np
from keras import layers

from keras_pose.contracts.pose import Contract
from keras_pose.exporting.comparison import relative_error
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.float_graph.serving import in_float32
from keras_pose.exporting.formats.table import FORMATS
from keras_pose.exporting.formats.writing import error_limit
from keras_pose.exporting.quantization.integer_network import equalized
from keras_pose.exporting.quantization.measured_ranges import EXTREMES, RangeRule
from keras_pose.exporting.quantization.settling import (
    LARGEST_FACTOR,
    NUM_CROPS,
    unsettled_norms,
)
from keras_pose.models.fake_quantization import fake_quantized, observe_extremes
from keras_pose.models.one_by_one import outputs_of_all
from keras_pose.models.own_layers import ChannelSlice
from keras_pose.models.visibility import without_visibility

# A file may be better than its rehearsal, but not by this much.
SURE = 2.0
# Crops that it runs on: it rehearses only.
NUM_REHEARSED = 4
# Layers that `fake_quantized` rounds as a file does. (Attention is float in int8 files.)
_ROUNDED = (
    layers.InputLayer,
    layers.Conv2D,
    layers.DepthwiseConv2D,
    layers.Conv2DTranspose,
    layers.BatchNormalization,
    layers.ReLU,
    layers.Activation,
    layers.Add,
    layers.Concatenate,
    layers.MaxPooling2D,
    layers.UpSampling2D,
    layers.ZeroPadding2D,
    layers.Dropout,
    ChannelSlice,
)


def check_settled(
    model,
    contract,
    crops,
    formats: Collection[str] = (),
    rule: RangeRule = EXTREMES,
) -> None:
    """Refuses or warns of a network that int8 will not keep, as its norms show.

    Args:
        model: Keras model of normalised images.
        contract: its contract, of any kind.
        crops: (N, H, W, 3) uint8, of people as the network sees them.
        formats: files that would be refused, keys of `FORMATS`; () to warn only.
        rule: rule by which ranges of tensors are made.

    Raises:
        ExportError: for an int8 file whose outputs would be far off.
    """
    num_off, count = unsettled_norms(model, contract.normalization(crops[:NUM_CROPS]))
    if 2 * num_off <= count:
        return
    limit = error_limit("int8")
    error = rehearsed_error(model, contract, crops)
    if error is not None and error <= limit:
        return
    norms = (
        f"{num_off} of {count} batch norms of {model.name} have variances that are off by "
        f"more than {LARGEST_FACTOR:g} times: it was trained for too few steps for them to "
        "settle. "
    )
    int8 = [name for name in formats if FORMATS[name].quantization == "int8"]
    if int8 and rule == EXTREMES and error is not None and not error <= SURE * limit:
        raise ExportError(
            f"{norms}With tensors of 8 bits its outputs have a relative RMS error of "
            f"{error:.3g}, and {int8[0]} files may have {limit:g}. Train on for some "
            "hundred steps, or export float16. (For times and sizes alone, "
            "export/ledger.py --model NAME writes files of random weights.)"
        )
    warnings.warn(
        f"{norms}Integer files of it will most likely be refused, after the conversion; "
        "float16 is not.",
        stacklevel=3,
    )


def rehearsed_error(model, contract, crops) -> float | None:
    """Returns the error of a network whose kernels and tensors have 8 bits.

    Ranges are those of the very crops that are compared, so a file is rarely better.

    Returns:
        The `relative_error` of its (last) outputs, with channels equalized where that is
        needed; None for networks that a file computes in another way, and for detectors.
    """
    model = without_visibility(model)  # whose head is small, and counts nothing here
    is_rounded = all(isinstance(layer, _ROUNDED) for layer in model.layers)
    if not is_rounded or not isinstance(contract, Contract):
        return None
    if contract.normalization is None:
        return None
    crops = np.asarray(crops)[:NUM_REHEARSED]
    images = contract.normalization(crops).astype(np.float32)
    error = _rounding_error(in_float32(model), images)
    if error <= error_limit("int8"):
        return error
    # The slower half: without it a network might be called worse than its file is.
    network = equalized(model, contract, crops)
    return error if network is model else _rounding_error(network, images)


def _rounding_error(network, images) -> float:
    # Of one tensor each: a loaded model may want a list of one.
    rounded, plain = (
        keras.Model(net.inputs[0], net.outputs[-1])
        for net in (fake_quantized(network), network)
    )
    observe_extremes(rounded, images)
    (found,), (wanted,) = (outputs_of_all(net, images) for net in (rounded, plain))
    return relative_error(found, wanted)
