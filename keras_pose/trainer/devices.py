"""Devices to train on, and the strategy that spreads a batch over them."""

from __future__ import annotations

import tensorflow as tf

from keras_pose.trainer.cluster import Cluster, join


def recipe_strategy(
    recipe, devices: str, cluster: Cluster | None = None
) -> tf.distribute.Strategy:
    """Chooses the distribution strategy of a run; waits for the other workers, if any.

    Raises:
        ValueError: for devices that are not there, or several where gradients are
            accumulated: Keras' optimizers do that on one device only.
        ConnectionError: if other workers do not come.
    """
    if cluster is not None:
        _check_shared(recipe, devices, cluster)
        return join(cluster)
    strategy = make_strategy(devices)
    if recipe.accumulate == 1:
        return strategy
    workers = strategy.extended.worker_devices
    if len(workers) > 1:
        raise ValueError(
            f"accumulate {recipe.accumulate} works on one device, and --devices {devices} "
            f"has {len(workers)}: they make batches {len(workers)} times as large already."
        )
    return tf.distribute.OneDeviceStrategy(workers[0])


def _check_shared(recipe, devices, cluster):
    if recipe.accumulate > 1:
        raise ValueError(
            f"accumulate {recipe.accumulate} works on one device, and there are "
            f"{cluster.size} workers: they make batches as large already."
        )
    if devices != "auto":
        raise ValueError(
            f"Each of several workers trains on all GPUs that it sees, got --devices "
            f"{devices}: choose them by the variable CUDA_VISIBLE_DEVICES."
        )


def make_strategy(devices: str = "auto") -> tf.distribute.Strategy:
    """Chooses the distribution strategy.

    Args:
        devices: "auto" (every visible GPU, else the CPU), a count of GPUs ("2"), a
            list ("gpu:0,gpu:2"), or "cpu:N" for N logical CPUs, with which
            several-device training can be tried on any machine.

    Returns:
        `MirroredStrategy` over the devices. Must be called before TensorFlow
        has used its devices when it makes logical CPUs.

    Raises:
        ValueError: for devices that are not there.
    """
    gpus = [f"gpu:{i}" for i, _ in enumerate(tf.config.list_physical_devices("GPU"))]
    if devices == "auto":
        return tf.distribute.MirroredStrategy(gpus or ["cpu:0"])
    if devices.startswith("cpu:") and "," not in devices:
        return tf.distribute.MirroredStrategy(_logical_cpus(devices))
    if devices.isdecimal():
        wanted = [f"gpu:{i}" for i in range(int(devices))]
    else:
        wanted = [name.strip().lower() for name in devices.split(",")]
    missing = [name for name in wanted if name not in [*gpus, "cpu:0"]]
    if missing or not wanted:
        raise ValueError(
            f"--devices {devices} asks for {missing or 'nothing'}; this machine shows "
            f"{gpus or 'no GPU'}. Use auto, a count, a list such as gpu:0,gpu:1, or cpu:N."
        )
    return tf.distribute.MirroredStrategy(wanted)


def _logical_cpus(devices):
    count = devices.removeprefix("cpu:")
    if not count.isdecimal() or int(count) < 1:
        raise ValueError(f"--devices cpu:N needs a positive number N, got {devices!r}.")
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * int(count)
    )
    return [f"cpu:{i}" for i in range(int(count))]
