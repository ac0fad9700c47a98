"""Fused updates against those of Keras' own Adam, and where they stay as they are.

On two replicas: `test_fit.py`, in processes of their own.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pose.trainer.fused_updates import fuse_updates
from keras_pose.trainer.optimization import WarmUpThen


def make_optimizer(kind, **options):
    rate = WarmUpThen(keras.optimizers.schedules.CosineDecay(0.05, 20), 3)
    optimizer = kind(rate, epsilon=1e-8, **options)
    if kind is keras.optimizers.AdamW:
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def trained(make, embedding=False):
    """Returns all weights, states and averages after some steps with a new optimizer."""
    optimizer = make()
    keras.utils.set_random_seed(0)
    image = keras.Input((4,), dtype="int32" if embedding else "float32")
    x = keras.layers.Embedding(9, 3)(image) if embedding else image
    x = keras.layers.Dense(5, "relu")(x)
    network = keras.Model(image, keras.layers.Dense(2)(x))
    network.compile(optimizer, "mse", jit_compile=False)
    data = np.random.default_rng(0)
    x = data.integers(0, 9, (8, 4)) if embedding else data.normal(size=(8, 4))
    y = data.normal(size=(8, *network.output_shape[1:]))
    batches = tf.data.Dataset.from_tensors((x.astype(image.dtype), y.astype("float32")))
    network.fit(batches.repeat(), steps_per_epoch=7, verbose=0, shuffle=False)
    # float16 wraps the optimizer.
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return [*network.get_weights(), *(np.array(each) for each in inner.variables)]


ADAM, ADAMW = keras.optimizers.Adam, keras.optimizers.AdamW


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (ADAM, {}),
        (ADAM, {"use_ema": True, "ema_momentum": 0.7, "global_clipnorm": 0.1}),
        (ADAMW, {"weight_decay": 0.1}),
        (ADAMW, {"weight_decay": 0.1, "use_ema": True, "gradient_accumulation_steps": 2}),
    ],
    ids=["adam", "adam, averaged and clipped", "adamw", "adamw, averaged and accumulated"],
)
def test_weights_states_and_averages_are_those_of_keras(kind, options):
    def values(change):
        return trained(lambda: change(make_optimizer(kind, **options)))

    plain, fused = values(lambda optimizer: optimizer), values(fuse_updates)
    for value, fused_value in zip(plain, fused, strict=True):
        np.testing.assert_allclose(fused_value, value, rtol=1e-4, atol=1e-6)


def test_float64_updates_are_those_of_the_paper():
    variable = keras.Variable(np.ones(3), dtype="float64")
    rate, epsilon = 0.125, 1e-8  # a rate that float32, in which rates are kept, has too
    optimizer = fuse_updates(keras.optimizers.Adam(rate, epsilon=epsilon))
    optimizer.build([variable])
    weight, mean, square = np.ones(3), 0.0, 0.0
    for step in range(1, 5):
        gradient = np.array([0.1, -0.2, 0.3]) * step
        optimizer.apply([tf.constant(gradient)], [variable])
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        pace = rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        weight = weight - pace * mean / (np.sqrt(square) + epsilon)
        # Powers of betas in float32 would be 1e-6 away.
        np.testing.assert_allclose(variable.numpy(), weight, rtol=1e-13)


def test_sparse_gradients_are_left_to_keras():
    plain = trained(lambda: make_optimizer(ADAM), embedding=True)
    fused = trained(lambda: fuse_updates(make_optimizer(ADAM)), embedding=True)
    for value, fused_value in zip(plain, fused, strict=True):
        np.testing.assert_allclose(fused_value, value, rtol=1e-4, atol=1e-6)


def test_scaled_losses_reach_the_inner_optimizer():
    def values(change):
        def make():
            inner = change(make_optimizer(ADAMW, weight_decay=0.1))
            return keras.optimizers.LossScaleOptimizer(inner, initial_scale=8.0)

        return trained(make)

    plain, fused = values(lambda optimizer: optimizer), values(fuse_updates)
    for value, fused_value in zip(plain, fused, strict=True):
        np.testing.assert_allclose(fused_value, value, rtol=1e-4, atol=1e-6)


def test_an_update_is_one_operator():
    def operators(optimizer):
        variables = [keras.Variable(np.ones(3, "float32")) for _ in range(4)]
        optimizer.build(variables)

        @tf.function
        def step():
            optimizer.apply([tf.ones(3)] * 4)

        return [each.type for each in step.get_concrete_function().graph.get_operations()]

    fused = operators(fuse_updates(make_optimizer(ADAMW, weight_decay=0.1)))
    assert fused.count("ResourceApplyAdam") == 4
    plain = operators(make_optimizer(ADAMW, weight_decay=0.1))
    assert len(fused) < len(plain) / 2


@pytest.mark.parametrize(
    "optimizer", [keras.optimizers.Adam(amsgrad=True), keras.optimizers.RMSprop()]
)
def test_others_stay_as_they_are(optimizer):
    before = dict(vars(optimizer))
    assert fuse_updates(optimizer) is optimizer
    assert vars(optimizer) == before


def test_what_is_saved_is_the_optimizer_of_keras(tmp_path):
    image = keras.Input((3,))
    network = keras.Model(image, keras.layers.Dense(2)(image))
    network.compile(fuse_updates(make_optimizer(ADAM)), "mse")
    network.train_on_batch(np.ones((2, 3)), np.ones((2, 2)))
    network.save(tmp_path / "network.keras")
    read = keras.models.load_model(tmp_path / "network.keras").optimizer
    assert type(read) is keras.optimizers.Adam
    assert int(read.iterations) == 1
    assert "_apply_weight_decay" not in vars(read)
