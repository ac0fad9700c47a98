"""Largest values in a network: what half precision must hold."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import cv2
import numpy as np

from keras_pose.commandline.quiet import quiet_stderr
from keras_pose.modelfiles.tflite_model import TFLiteModel
from keras_pose.pictures.images import read_image


def largest_value(float_model: TFLiteModel, pictures: Sequence[str]) -> float:
    """Runs a float32 file on pictures; returns the largest magnitude.

    Of what operators write. Sums on the way to it may be larger, and are not seen.

    Args:
        float_model: the file, of uint8 pixels.
        pictures: paths of pictures, at least one; they are resized to the input.
    """
    from ai_edge_litert.interpreter import Interpreter

    with quiet_stderr(), warnings.catch_warnings():
        # That keeping all tensors takes memory is known.
        warnings.simplefilter("ignore")
        interpreter = Interpreter(
            model_content=float_model.to_bytes(), experimental_preserve_all_tensors=True
        )
        interpreter.allocate_tensors()
    (image,) = interpreter.get_input_details()
    _, height, width, _ = image["shape"]
    largest = 0.0
    for path in pictures:
        pixels = cv2.resize(read_image(path), (width, height), interpolation=cv2.INTER_AREA)
        interpreter.set_tensor(image["index"], pixels[None])
        interpreter.invoke()
        for index in float_model.float_names():
            largest = max(largest, float(np.abs(interpreter.get_tensor(index)).max()))
    return largest
