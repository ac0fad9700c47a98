"""A network that is good in floats and useless in int8, by a trick that changes nothing.

Some channels of a tensor are made a thousand times as large, and the weights that read
them as much smaller. In int8 the whole tensor has one scale, that of the large channels:
of the others nothing is left.
"""

import keras
import numpy as np
from keras import layers

BAD_LAYER = "wide-relu"
READER = "after"
FACTOR = 1000.0


def imbalanced_model(input_hw=(32, 24), num_keypoints=3, factor=FACTOR, seed=0):
    """Builds it, with weights that make of each channel something else."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((*input_hw, 3), name="image")
    options = {"padding": "same", "kernel_initializer": "he_normal"}
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="first", **options)(image)
    x = layers.Conv2D(8, 3, strides=2, name="wide", **options)(x)
    x = layers.ReLU(name=BAD_LAYER)(x)
    x = layers.Conv2D(8, 3, activation="relu", name=READER, **options)(x)
    x = layers.Conv2D(num_keypoints, 1, name="last", **options)(x)
    model = keras.Model(image, x, name="imbalanced")
    scale_channels(model, [factor, *[1.0] * 7])
    return model


def imbalanced_silu(input_hw=(32, 24), num_keypoints=3, factor=FACTOR, seed=0):
    """Builds another, as separable convolutions with SiLU are after training.

    All channels but one hardly vary before a depthwise convolution, which multiplies them.
    SiLU of next to nothing is half of it.
    """
    keras.utils.set_random_seed(seed)
    image = keras.Input((*input_hw, 3), name="image")
    options = {"padding": "same", "kernel_initializer": "he_normal"}
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="first", **options)(image)
    x = layers.Conv2D(8, 3, strides=2, name="wide", **options)(x)
    x = layers.Activation("silu", name="wide-silu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name=READER)(x)
    x = layers.Conv2D(num_keypoints, 1, name="last", **options)(x)
    model = keras.Model(image, x, name="imbalanced_silu")
    scale = np.asarray([1.0, *[factor] * 7], np.float32)
    kernel, bias = model.get_layer("wide").get_weights()
    model.get_layer("wide").set_weights([kernel / scale, bias])
    kernel, bias = model.get_layer(READER).get_weights()
    model.get_layer(READER).set_weights([kernel * 2 * scale[:, None], bias])
    return model


def scale_channels(model, factors):
    """Makes channels larger, and what reads them smaller: rectifiers let that through."""
    scale = np.asarray(factors, np.float32)
    kernel, bias = model.get_layer("wide").get_weights()
    model.get_layer("wide").set_weights([kernel * scale, bias * scale])
    kernel, bias = model.get_layer(READER).get_weights()
    model.get_layer(READER).set_weights([kernel / scale[:, None], bias])
