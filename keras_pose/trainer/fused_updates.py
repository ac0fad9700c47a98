"""Adam's updates of weights in one operator each.

Keras 3 writes Adam's update as some thirty operators for every variable, and works out the
learning rate's schedule anew for each variable that decays: of HRNet-W32's first training
step that is most of the graph. TensorFlow has one kernel for an update.
"""

from __future__ import annotations

import functools

import keras
import tensorflow as tf

_FUSED = (keras.optimizers.Adam, keras.optimizers.AdamW)


def fuse_updates(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Lets an Adam or AdamW use TensorFlow's kernel; others stay as they are.

    States, and what is saved of them, stay those of the Keras optimizer, and so do weights,
    up to rounding.

    Args:
        optimizer: optimizer that was not built yet, changed in place.

    Returns:
        The optimizer.
    """
    if type(optimizer) not in _FUSED or optimizer.amsgrad:
        return optimizer
    optimizer._distributed_tf_update_step = functools.partial(_update_all, optimizer)
    optimizer._apply_weight_decay = functools.partial(_decay_all, optimizer)
    optimizer._update_model_variables_moving_average = functools.partial(
        _average_all, optimizer
    )
    return optimizer


def _update_all(optimizer, distribution, gradients_and_variables, rate):
    """Updates variables by their gradients, all replicas' copies of each."""
    powers = {dtype: _powers(optimizer, dtype) for dtype in (tf.float32, tf.float64)}
    for gradient, variable in gradients_and_variables:
        distribution.extended.update(
            variable,
            functools.partial(_update, optimizer, powers),
            args=(gradient, rate),
            group=False,
        )


def _powers(optimizer, dtype):
    """Returns the betas' powers by which averages are corrected for their start."""
    # Python's numbers would become float32, of which 1 - 0.999 is 1e-5 off.
    betas = tf.constant([optimizer.beta_1, optimizer.beta_2], dtype)
    return tf.unstack(betas ** tf.cast(optimizer.iterations + 1, dtype))


def _update(optimizer, powers, variable, gradient, rate):
    dtype = variable.dtype
    if dtype not in powers or isinstance(gradient, tf.IndexedSlices):
        return optimizer.update_step(gradient, variable, rate)
    index = optimizer._get_variable_index(variable)
    beta_1_power, beta_2_power = powers[dtype]
    return tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=optimizer._momentums[index].value.handle,
        v=optimizer._velocities[index].value.handle,
        beta1_power=beta_1_power,
        beta2_power=beta_2_power,
        lr=tf.cast(rate, dtype),
        beta1=optimizer.beta_1,
        beta2=optimizer.beta_2,
        epsilon=optimizer.epsilon,
        grad=tf.cast(gradient, dtype),
    )


def _decay_all(optimizer, variables):
    """Shrinks the variables that decay, by a share that is worked out once."""
    if optimizer.weight_decay is None:
        return
    chosen = [
        getattr(variable, "value", variable)
        for variable in variables
        if optimizer._use_weight_decay(variable)
    ]

    def shrink_all(distribution, variables):
        share = tf.cast(optimizer.learning_rate, tf.float32) * optimizer.weight_decay
        for variable in variables:
            distribution.extended.update(variable, _shrink, args=(share,), group=False)

    tf.__internal__.distribute.interim.maybe_merge_call(
        shrink_all, optimizer._distribution_strategy, chosen
    )


def _shrink(variable, share):
    variable.assign_sub(variable * tf.cast(share, variable.dtype))


def _average_all(optimizer, variables):
    """Moves the averages of the weights, as Keras does, by a factor worked out once."""
    is_later = tf.cast(tf.not_equal(optimizer.iterations, 0), tf.float32)
    momentum = is_later * optimizer.ema_momentum
    averages = optimizer._model_variables_moving_average
    for variable, average in zip(variables, averages, strict=True):
        if average is not None:
            kept = tf.cast(momentum, variable.dtype)
            average.assign(kept * average + (1 - kept) * variable)
