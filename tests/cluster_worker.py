"""One worker of a training: a program for tests of several processes.

python tests/cluster_worker.py SETTINGS, JSON with
    cluster     {"addresses": [...], "index": i}, or None
    servers     addresses of data services
    recipe      entries of the recipe
    run_dir     folder of the run
    weights     file for the weights after the last epoch
    signal      number of a signal to send to itself, or 0
    step        after how many steps
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from keras_pose.commandline import plain_errors
from keras_pose.commandline.quiet import import_tensorflow

import_tensorflow(for_training=True)

import keras  # noqa: E402
import numpy as np  # noqa: E402

from keras_pose.trainer.any_fit import fit_any  # noqa: E402
from keras_pose.trainer.cluster import Cluster  # noqa: E402
from keras_pose.trainer.optimization import steps_taken  # noqa: E402
from keras_pose.trainer.run_dirs import recipe_class  # noqa: E402


class Watcher(keras.callbacks.Callback):
    """Sends the signal, and keeps the weights."""

    def __init__(self, settings):
        super().__init__()
        self._settings = settings

    def on_train_batch_end(self, batch, logs=None):
        number, step = self._settings["signal"], self._settings["step"]
        print("step", steps_taken(self.model.optimizer), flush=True)
        if number and steps_taken(self.model.optimizer) == step:
            os.kill(os.getpid(), number)

    def on_epoch_end(self, epoch, logs=None):
        # Not at the end of training, where averages may stand in their place.
        np.savez(self._settings["weights"], *self.model.get_weights())


@plain_errors()
def main(settings):
    cluster = settings["cluster"]
    if cluster is not None:
        cluster = Cluster(tuple(cluster["addresses"]), cluster["index"])
    recipe = settings["recipe"]
    fit_any(
        recipe_class(recipe["model"]).from_dict(recipe),
        settings["run_dir"],
        watchers=[Watcher(settings)],
        save_minutes=settings["save_minutes"],
        cluster=cluster,
        data_services=tuple(settings["servers"]),
    )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
