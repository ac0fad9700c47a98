"""Pieces of the real-time networks: integers all through, and the norm is Keras'."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pose.modelfiles.flatbuffer import float_ops
from keras_pose.models.own_layers import (
    GatedAttention,
    LayerNorm,
    ScaleNorm,
    ScaleResidual,
    SelfAttention,
)

TOKENS, CHANNELS = 6, 24
# Each maps (B, TOKENS, CHANNELS).
LAYERS = {
    "scale_norm": ScaleNorm,
    "scale_residual": ScaleResidual,
    "layer_norm": LayerNorm,
    "gated_attention": lambda: GatedAttention(expanded=8, attention=8),
    "self_attention": lambda: SelfAttention(num_heads=2),
}


def random_tokens(seed):
    shape = (1, TOKENS, CHANNELS)
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


@pytest.mark.slow
@pytest.mark.parametrize("kind", LAYERS)
def test_layers_become_integers_all_through(kind, tmp_path):
    tokens = keras.Input((TOKENS, CHANNELS), batch_size=1)
    model = keras.Model(tokens, LAYERS[kind]()(tokens))
    model.export(tmp_path / "saved", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter.representative_dataset = lambda: ([random_tokens(i)] for i in range(4))

    path = tmp_path / "layer.tflite"
    path.write_bytes(converter.convert())

    assert not float_ops(path)


def test_layer_norm_is_keras_own():
    x = 3 + 5 * random_tokens(seed=0)
    ours, theirs = LayerNorm(epsilon=1e-6), keras.layers.LayerNormalization(epsilon=1e-6)
    for layer in (ours, theirs):
        layer.build(x.shape)
    weights = [np.linspace(1, 2, CHANNELS), np.linspace(-1, 1, CHANNELS)]
    ours.set_weights(weights)
    theirs.set_weights(weights)

    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)
    half = LayerNorm(dtype="mixed_float16")(np.full((1, 1, 2), [[[300.0, 100.0]]], "f2"))
    np.testing.assert_allclose(half, [[[1.0, -1.0]]], atol=1e-3)
