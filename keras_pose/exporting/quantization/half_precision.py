"""Values that half precision does not hold.

float16 files keep weights so, and processors compute with them in float32. A phone's
GPU computes in half precision as well: what is larger than its largest number is infinite
there.
"""

from __future__ import annotations

import warnings

import numpy as np

from keras_pose.exporting.quantization.tflite_quantizing import collect_ranges
from keras_pose.modelfiles.tflite_model import TFLiteModel

MOST_FLOAT16 = float(np.finfo(np.float16).max)
# Crops that are looked at: networks that grow so large do it on any.
NUM_CROPS = 4


def largest_value(float_model: TFLiteModel, crops) -> tuple[float, str]:
    """Finds the largest magnitude that an operator writes.

    Sums on the way to it may be larger, and are not seen.

    Args:
        float_model: float32 file of uint8 pixels.
        crops: (N, H, W, 3) uint8, at least one.

    Returns:
        The magnitude, and the name of the tensor.
    """
    extremes = collect_ranges(float_model, crops).extremes
    return max((max(-low, high), str(name)) for name, (low, high) in extremes.items())


def warn_of_infinities(float_model: TFLiteModel, crops) -> None:
    """Warns of a network that a phone's GPU would compute infinite values of.

    Args:
        float_model: float32 file of uint8 pixels.
        crops: (N, H, W, 3) uint8; the first are looked at.
    """
    if not len(crops):
        return
    value, name = largest_value(float_model, crops[:NUM_CROPS])
    if value > MOST_FLOAT16:
        warnings.warn(
            f"{name} reaches {value:.3g}, and half precision ends at {MOST_FLOAT16:.0f}: a "
            "phone's GPU, which computes in it, gives infinite values or none of use. On "
            "the CPU this file is right. Take int8 for a GPU, or train with weight decay.",
            stacklevel=2,
        )
