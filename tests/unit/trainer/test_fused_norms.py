"""Fused batch norms against Keras' own, and where they stay as they are."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pose.trainer.fused_norms import fuse_norms, share_moments


def _network(**options):
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 5, 3))
    x = keras.layers.Conv2D(4, 3, use_bias=False)(image)
    x = keras.layers.BatchNormalization(momentum=0.7, name="norm", **options)(x)
    return keras.Model(image, keras.layers.Conv2D(1, 1)(keras.layers.ReLU()(x)))


def _trained(network, num_samples):
    data = np.random.default_rng(0)
    # A mean far from zero, as activations have.
    x = data.normal(3.0, 2.0, (num_samples, 6, 5, 3)).astype("float32")
    y = data.normal(size=(num_samples, 4, 3, 1)).astype("float32")
    network.compile(keras.optimizers.SGD(0.01), "mse", run_eagerly=True)
    for _ in range(3):
        network.train_on_batch(x, y)
    return network.get_weights(), network.predict_on_batch(x)


@pytest.mark.parametrize("num_samples", [1, 8])
def test_a_training_gives_the_weights_averages_and_outputs_of_the_layer(num_samples):
    plain, fused = _network(), _network()
    assert fuse_norms(fused) == 1
    weights, outputs = _trained(plain, num_samples)
    fused_weights, fused_outputs = _trained(fused, num_samples)
    for value, fused_value in zip(weights, fused_weights, strict=True):
        np.testing.assert_allclose(fused_value, value, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fused_outputs, outputs, rtol=1e-4, atol=1e-5)


def test_the_variance_of_one_value_a_channel_is_none():
    def variance(change):
        image = keras.Input((1, 1, 3))
        norm = keras.layers.BatchNormalization(momentum=0.7)
        network = keras.Model(image, norm(image))
        change(network)
        network.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
        network.train_on_batch(np.ones((1, 1, 1, 3)), np.ones((1, 1, 1, 3)))
        return np.array(norm.moving_variance)

    np.testing.assert_allclose(variance(fuse_norms), variance(lambda network: None))


def test_the_saved_network_has_the_layer_of_keras(tmp_path):
    network = _network()
    fuse_norms(network)
    network.save(tmp_path / "network.keras")
    read = keras.models.load_model(tmp_path / "network.keras")
    norm = read.get_layer("norm")
    assert type(norm) is keras.layers.BatchNormalization
    assert "call" not in vars(norm)


@pytest.mark.parametrize(
    "options", [{"synchronized": True}, {"scale": False}, {"axis": 1}, {"trainable": False}]
)
def test_what_the_kernel_does_not_compute_stays(options):
    assert fuse_norms(_network(**options)) == 0


def test_the_variance_over_replicas_is_not_lost_beside_a_large_mean(monkeypatch):
    # Two replicas' halves of a batch, of a deviation of 1 at a mean of 100.
    parts = np.random.default_rng(0).normal(100, 1, (2, 4, 8, 8, 3)).astype("float32")
    means = [part.mean(axis=(0, 1, 2), dtype="float64") for part in parts]

    class Replica:
        """The first of the two, which hears the other's values."""

        def __init__(self):
            middle = np.mean(means, axis=0)
            spreads = [
                part.astype("float64").var(axis=(0, 1, 2)) + (mean - middle) ** 2
                for part, mean in zip(parts, means, strict=True)
            ]
            self._others = iter([means[1], spreads[1]])

        def all_reduce(self, op, value):
            assert op == "MEAN"
            return (value + next(self._others).astype("float32")) / 2

    layer = keras.layers.BatchNormalization(synchronized=True)
    layer.build((None, 8, 8, 3))
    share_moments(keras.Sequential([layer]))
    monkeypatch.setattr(tf.distribute, "get_replica_context", Replica)
    mean, variance = layer._moments(tf.constant(parts[0]), None)
    whole = parts.astype("float64")
    np.testing.assert_allclose(mean, whole.mean(axis=(0, 1, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(variance, whole.var(axis=(0, 1, 2, 3)), rtol=1e-4)
    # What Keras computes is further off.
    squares = np.square(parts).mean(axis=(0, 1, 2, 3), dtype="float32")
    keras_variance = squares - np.square(parts.mean(axis=(0, 1, 2, 3), dtype="float32"))
    assert np.abs(keras_variance / whole.var(axis=(0, 1, 2, 3)) - 1).max() > 2e-4
