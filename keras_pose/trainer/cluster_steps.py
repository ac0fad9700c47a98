"""Steps of a model that several workers train, and what they agree on at each of them.

Keras 3.15 fails at the start of `fit` with several workers: it takes means over them of a
whole batch, then of a metric as if that were a batch. The rest of `fit` works, so building
and the function of a step are ours (findings/keras_multi_worker_fit.sh).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from keras_pose.data.pipeline import Part
from keras_pose.trainer.cluster import Cluster, wait


class Team:
    """The workers of a running training, who give each other a word with every step.

    Whether it is time to save or to end is another matter on each machine (clocks,
    signals), and a save reads metrics from all: so all of them do it after the same step.

    Attributes:
        cluster: the workers.
        strategy: strategy that they met by.
    """

    def __init__(self, cluster: Cluster, strategy: tf.distribute.Strategy):
        self.cluster, self.strategy = cluster, strategy
        self._wishes = self._agreed = (False, False)

    @property
    def is_chief(self) -> bool:
        return self.cluster.is_chief

    @property
    def part(self) -> Part:
        """Share of each batch that this worker makes."""
        num_devices = len(self.strategy.extended.worker_devices)
        return Part(self.cluster.index, self.cluster.size, num_devices)

    def agree(self, saves: bool, ends: bool) -> tuple[bool, bool]:
        """Asks for a save or the end, and returns what is due now on all workers.

        It is what some worker asked for before the step that has just ended.
        """
        agreed = self._agreed
        self._agreed = (False, False)
        self._wishes = (saves and not agreed[0], ends)
        return agreed

    def wait(self) -> None:
        """Waits until all workers have come to this point."""
        wait(self.strategy)

    def spread(self, dataset: tf.data.Dataset):
        """Hands this worker's batches, one for each of its devices in turn, to `fit`."""
        return self.strategy.distribute_datasets_from_function(lambda _: dataset)

    def share_steps(self, model) -> None:
        """Lets `fit` and `evaluate` of a compiled model work over all workers.

        Args:
            model: Keras model that was made and built in the scope of the strategy, see
                `preparation.build_compiled`.
        """
        model.train_function = self._shared(model.train_step)
        model.test_function = self._shared(model.test_step)

    def _shared(
        self, step: Callable[[Any], Mapping[str, tf.Tensor]]
    ) -> Callable[[Iterator], dict[str, float]]:
        names: list[str] = []

        @tf.function(reduce_retracing=True)
        def run(iterator, wishes):
            def replica_step(batch):
                values = step(batch)
                names[:] = values
                # One vector: each exchange between machines takes its time.
                numbers = [tf.cast(value, tf.float32) for value in values.values()]
                return tf.stack([*numbers, *tf.unstack(wishes)])

            values = self.strategy.run(replica_step, args=(next(iterator),))
            return self.strategy.reduce("MEAN", values, axis=None)

        def function(iterator):
            wishes = tf.constant(self._wishes, tf.float32)
            *values, saves, ends = run(iterator, wishes).numpy().tolist()
            self._agreed = (saves > 0, ends > 0)
            return dict(zip(names, values, strict=True))

        return function
