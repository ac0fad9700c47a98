"""A tiny trained-looking network in every file format, for the tests of exports.

It has all that an export must get right: two stacks, a BGR normalisation, batch norm
with statistics, a stride that makes swapped sizes show.
"""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers

from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.contracts.entries import save_keras_model
from keras_pose.contracts.pose import Contract, keras_contract
from keras_pose.exporting.formats.onnx_export import OnnxConversion
from keras_pose.exporting.formats.tflite_export import QUANTIZATIONS, TFLiteConversion
from keras_pose.exporting.formats.writing import Export
from keras_pose.modelfiles.flatbuffer import tflite_graph
from keras_pose.pictures.normalization import Normalization
from keras_pose.skeleton import Skeleton

INPUT_HW = (32, 24)
SKELETON = Skeleton(
    name="three",
    names=("nose", "left_hip", "right_hip"),
    mirrored=(("left_hip", "right_hip"),),
    limbs=(("left_hip", "right_hip"),),
)
CODEC = GaussianHeatmapCodec(INPUT_HW, stride=4, sigma=1.0)
BGR = Normalization(mean=(0.4, 0.45, 0.5), std=(0.2, 0.25, 0.3), channel_order="bgr")
FLOAT_KINDS = (".keras", "float32", "onnx")


def export_tflite(
    model, contract, path, crops, quantization="float32", batch=1, **options
) -> Export:
    """Writes one `.tflite` file; options of the conversion and of what it quantizes."""
    own = {name: options.pop(name, False) for name in ("with_decode", "integers_only")}
    conversion = TFLiteConversion(model, contract, crops, batch, **own)
    return conversion.write(path, quantization, **options)


def export_onnx(
    model, contract, path, crops, opset=17, batch=1, quantization="float32", **options
) -> Export:
    """Writes one `.onnx` file, likewise."""
    with_decode = options.pop("with_decode", False)
    conversion = OnnxConversion(model, contract, crops, batch, with_decode, opset=opset)
    return conversion.write(path, quantization, **options)


def num_per_channel_weights(path) -> int:
    """Counts the int8 tensors that have one scale per output channel."""
    tensors = tflite_graph(path).tensors.values()
    return sum(tensor.dtype == "int8" and tensor.num_scales > 1 for tensor in tensors)


@dataclass(frozen=True)
class ExportedFiles:
    """The network, and its files by kind: ".keras", "onnx", or a quantization."""

    model: keras.Model
    contract: Contract
    crops: np.ndarray
    paths: dict[str, Path]

    def heatmaps(self, crops):
        """What every file should predict, straight from Keras."""
        return self.model(BGR(crops), training=False)[-1].numpy()


def export_all(folder, is_new=True) -> ExportedFiles:
    """Builds the network, and writes its files unless they are in the folder already."""
    model = tiny_model()
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    paths = {".keras": folder / "tiny.keras", "onnx": folder / "onnx" / "tiny.onnx"}
    paths |= {name: folder / "tflite" / f"{name}.tflite" for name in QUANTIZATIONS}
    exported = ExportedFiles(model, contract, smooth_crops(12), paths)
    if is_new:
        _write(exported)
    return exported


def _write(exported):
    """Converts once to each type of file, and quantizes often."""
    model, contract, crops = exported.model, exported.contract, exported.crops
    save_keras_model(model, exported.paths[".keras"], contract)
    export_onnx(model, contract, exported.paths["onnx"], crops)
    conversion = TFLiteConversion(model, contract, crops)
    for quantization in QUANTIZATIONS:
        conversion.write(exported.paths[quantization], quantization)


def tiny_model(name="tiny", seed=0):
    """Builds two stacks, of which only the second gives the right answer."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.ReLU()(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    # As all heads of the zoo, in float32 even where the rest is not.
    head = {"filters": SKELETON.num_keypoints, "padding": "same", "dtype": "float32"}
    first = layers.Conv2D(kernel_size=1, name="stack1", **head)(x)
    second = layers.Conv2D(kernel_size=3, name="stack2", **head)(x)
    model = keras.Model(image, [first, second], name=name)
    rng = np.random.default_rng(seed)
    statistics = [(1, 0.2), (0, 0.2), (0, 0.2)]
    gamma, beta, mean = (rng.normal(*moments, size=8) for moments in statistics)
    model.get_layer("bn").set_weights([gamma, beta, mean, rng.uniform(0.5, 1.5, size=8)])
    return model


def smooth_crops(count, input_hw=INPUT_HW, seed=0):
    """Makes pictures with broad patches of colour, as photographs have."""
    noise = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), np.uint8)
    return noise.repeat(input_hw[0] // 4, axis=1).repeat(input_hw[1] // 4, axis=2)
