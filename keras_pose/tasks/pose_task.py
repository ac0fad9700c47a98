"""`PoseTask`: a pose network that takes photos, is trained, measured, exported and shared.

Runs without TensorFlow where the network is a `.tflite` or `.onnx` file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_pose.contracts.crowd_fields import CrowdContract
from keras_pose.files.runs import BEST_NAME
from keras_pose.pictures.normalization import Normalization
from keras_pose.skeleton import Skeleton
from keras_pose.tasks import folders, hub
from keras_pose.tasks.opening import (
    Opened,
    open_file,
    open_network,
    open_preset,
    open_trunk,
)
from keras_pose.tasks.running import RunnableTask, refuse

if TYPE_CHECKING:
    from keras_pose.exporting.formats.writing import Export


class PoseTask(RunnableTask):
    """A pose network with all that must be known of it.

        task = PoseTask.from_preset("rtmpose_s_coco")
        poses = task.predict("photo.jpg")
        task.fit("my_labels/", epochs=20)
        print(task.evaluate("my_labels/").stats)
        task.export("tflite", int8=True)
        task.save_to_preset("my_pose/")

    Attributes:
        network: the Keras model; None for a `.tflite` or `.onnx` file, which is run and
            measured, and not trained or exported.
        contract: codec, keypoints, normalization, see `keras_pose.contracts`.
        facts: source of the weights, such as licence and trained_on.
        recipe: recipe of the run that trained it; {} where that is not known.
        measured: figures that `evaluate` found for the weights as they are.
    """

    def __init__(
        self,
        network,
        contract: folders.PoseContract | None = None,
        detector=None,
        facts: dict[str, Any] | None = None,
    ):
        """Wraps a Keras model.

        Args:
            network: (B, H, W, 3) normalised pictures -> what the codec decodes; as
                `create_model` returns it.
            contract: description of input and outputs; None for that of a model of the zoo.
            detector: source of people, as `PoseEstimator` takes it, or a detector's preset
                such as "rtmdet_nano_person".
            facts: source of the weights, as in the class.
        """
        self._begin(open_network(network, contract, facts), detector)

    @classmethod
    def _of(cls, opened: Opened, detector) -> PoseTask:
        task = cls.__new__(cls)
        task._begin(opened, detector)
        return task

    @classmethod
    def from_preset(
        cls,
        preset: str | Path,
        *,
        skeleton: Skeleton | str | None = None,
        num_keypoints: int | None = None,
        detector=None,
    ) -> PoseTask:
        """Loads a preset.

        Official weights are downloaded on first use, with their size and licence said
        before, and kept. `fit` trains on the keypoints that are named here, or else on
        those of its set: what the weights do not have starts at random.

        Args:
            preset: name of official weights such as "rtmpose_s_coco", "shipped" for the
                model that comes with the package (its file for phones is run; `fit`,
                `export` and other keypoints take its Keras file), a folder that
                `save_to_preset` wrote, hf://OWNER/REPO, or
                kaggle://OWNER/MODEL/keras/VARIATION.
            skeleton: keypoints to train it on, or the name of built-in ones; those that
                the weights do not have start at random, and a line says so. None for the
                weights' own.
            num_keypoints: number of keypoints to train it on, where they have no names.
            detector: source of people, as in the constructor.

        Raises:
            ValueError: for an unknown name (near names are suggested), a preset of a newer
                version, or weights that are not of its network.
            FileNotFoundError: for a folder that is not there or is no preset.
            ImportError: names the extra that an address on a hub needs.
            weights.download.DownloadError: if official weights cannot be had; says what
                to do by hand.
            tasks.hub.HubError: if a preset on a hub cannot be had.
        """
        return cls._of(open_preset(preset, skeleton, num_keypoints), detector)

    @classmethod
    def from_file(
        cls, path: str | Path, *, model: str | None = None, detector=None
    ) -> PoseTask:
        """Wraps a model file: `.keras`, `.weights.h5`, `.tflite` or `.onnx`.

        Args:
            path: the file, with its contract.
            model: zoo name, for `.weights.h5`.
            detector: source of people, as in the constructor.

        Raises:
            FileNotFoundError, ValueError, ImportError: as `runtime.load_model`.
        """
        return cls._of(open_file(path, model), detector)

    @classmethod
    def from_backbone(
        cls,
        backbone,
        skeleton: Skeleton | str | None = None,
        *,
        input_hw: tuple[int, int] = (256, 192),
        head_channels: int = 256,
        normalization: Normalization | None = None,
        load_weights: bool = True,
        detector=None,
    ) -> PoseTask:
        """Builds a Simple Baseline on a trunk, its head at random.

        Args:
            backbone: name of a backbone of KerasHub (extra "keras-hub"), or a functional
                Keras model from pictures to features; its weights are copied.
            skeleton: keypoints to train it on, or the name of built-in ones; None for those
                of the set it is trained on.
            input_hw: model input (height, width), pixels.
            head_channels: channels of the head's layers.
            normalization: scale and offset of pixels; None for those of the preset, or
                else ImageNet's mean and deviation.
            load_weights: True to load the weights of a name, False to start at random.
            detector: source of people, as in the constructor.

        Raises:
            ImportError: for a name, where KerasHub is not installed.
            ValueError: for a trunk that gives no features of a picture, see
                `models.trunks`.
        """
        opened = open_trunk(
            backbone, skeleton, input_hw, head_channels, normalization, load_weights
        )
        return cls._of(opened, detector)

    def fit(
        self,
        data,
        *,
        dataset: str | None = None,
        run_dir: str | Path | None = None,
        epochs: int | None = None,
        validation_data=None,
        steps_per_epoch: int | None = None,
        callbacks: Sequence[Any] = (),
        devices: str = "auto",
        **entries: Any,
    ):
        """Trains the network, from the weights it has, by the recipe of its family.

        Args:
            data: folder of a labelled set (COCO's format, or a tool's own), words such as
                "coco" or "synthetic", or a tf.data.Dataset of (crops, targets, weights):
                (B, H, W, 3) crops, uint8 RGB or float32 normalised, what `codec.encode_tf`
                makes of keypoints, and (B, K) float32.
            dataset: name of the folder's set, see `tasks.sets.name_set`.
            run_dir: folder of the run; None for a new one in `runs`. A run that is there
                goes on. Not for a tf.data.Dataset.
            epochs: passes over the data; None for the recipe's.
            validation_data: tf.data.Dataset to validate on, with one to train on.
            steps_per_epoch: batches an epoch, of a tf.data.Dataset.
            callbacks: Keras callbacks, with a tf.data.Dataset.
            devices: word that `trainer.devices.make_strategy` takes. Not for a
                tf.data.Dataset.
            entries: entries of the recipe that are to be otherwise, such as
                learning_rate=1e-4, batch_size=16, max_steps=100.

        Returns:
            The folder of the run, whose best weights the task has now; of a
            tf.data.Dataset, Keras' History.

        Raises:
            ValueError: for data or entries that do not fit, and for networks that are not
                trained here.
            FileNotFoundError: where there is no such set.
        """
        network, contract = self._trainable()
        if isinstance(data, str | Path):
            refused = {
                "validation_data": validation_data is not None,
                "steps_per_epoch": steps_per_epoch is not None,
                "callbacks": bool(callbacks),
            }
            refuse(refused, "goes with a tf.data.Dataset, not with a labelled set")
            from keras_pose.tasks.sets import name_set
            from keras_pose.tasks.training import fit_set

            if epochs is not None:
                entries["epochs"] = epochs
            named = name_set(data, dataset)
            asked = self._asked
            run = fit_set(network, contract, named, run_dir, devices, entries, asked)
            self._take(open_file(run / BEST_NAME))
            return run
        refused = {
            "dataset": dataset is not None,
            "run_dir": run_dir is not None,
            "devices": devices != "auto",
        }
        refuse(refused, "goes with a labelled set, not with a tf.data.Dataset")
        from keras_pose.tasks.training import fit_batches

        history = fit_batches(
            network,
            contract,
            data,
            epochs,
            validation_data,
            list(callbacks),
            steps_per_epoch,
            entries,
        )
        self._is_untrained, self._file, self.measured = "", None, []
        return history

    def _open_network(self):
        """Returns the network; of a shipped file that of its Keras file, opened now."""
        if self.network is None and self._network_file is not None:
            self._take(open_file(self._network_file))
        return self.network

    def _trainable(self):
        if self._open_network() is None:
            raise ValueError(
                f"{self._file} is a file to run: it cannot be trained. Start from a preset "
                "of Keras weights, or from the .keras file it was made of."
            )
        if isinstance(self.contract, CrowdContract):
            raise ValueError(
                f"{self.contract.model} sees whole pictures: training/train.py trains it, "
                "or says that it is not trained here."
            )
        return self.network, self.contract

    def export(
        self,
        kind: str = "tflite",
        path: str | Path | None = None,
        *,
        int8: bool = False,
        float16: bool = False,
        data: str | Path | None = None,
        dataset: str | None = None,
        calibration_images: int | None = None,
        **options: Any,
    ) -> Export:
        """Writes a file for phones, runs it, and compares it with the network.

        Args:
            kind: "tflite" or "onnx", or a key of `exporting.formats.table.FORMATS`.
            path: file to write; None for `export/FORMAT/pose_model.tflite` (.onnx) beside
                the weights of a run, or in the working folder.
            int8: integers throughout, calibrated on crops.
            float16: weights of half the size.
            data: labelled set to calibrate on; None for that of the run, or people that
                are drawn; a printed line says which.
            dataset: name of the folder's set, see `tasks.sets.name_set`.
            calibration_images: crops to calibrate on; None for the usual number.
            options: batch, with_decode, opset, integers_only, ..., see
                `exporting.formats.table.export_formats`.

        Returns:
            The file, its contract, and how far its outputs are from the network's.

        Raises:
            ValueError: for an unknown kind, or options that contradict each other.
            exporting.errors.ExportError: if the file does not do what the network does.
        """
        if self._open_network() is None:
            raise ValueError(
                f"{self._file} is exported already; export from the .keras file it was "
                "made of."
            )
        self._model()  # refuses a head at random
        from keras_pose.tasks.exports import export_task

        return export_task(
            self.network,
            self.contract,
            self.recipe,
            self._file if self.recipe else None,
            kind,
            path,
            (int8, float16),
            (data, dataset, calibration_images),
            options,
        )

    def save_to_preset(self, folder: str | Path) -> Path:
        """Writes a preset: config.json, metadata.json, weights and model card.

        Args:
            folder: folder to write into, made if absent.

        Returns:
            The folder.

        Raises:
            ValueError: for a file that is not a Keras model, and an untrained head.
            PermissionError: if the folder takes no files.
        """
        if self._open_network() is None:
            raise ValueError(
                f"{self._file} is a file for phones, which is no preset: copy it with its "
                "pose_model.json, and open it by PoseTask.from_file."
            )
        self._model()
        from keras_pose.models.complexity import count_params
        from keras_pose.tasks.cards import make_card

        num_params = count_params(self.network)
        card = make_card(self.contract, num_params, self.facts, self.measured)
        return folders.write_preset(folder, self.network, self.contract, self.facts, card)

    def upload_preset(self, address: str, message: str = "A preset of keras_pose") -> str:
        """Uploads the task as a preset.

        Args:
            address: hf://OWNER/REPO or kaggle://OWNER/MODEL/keras/VARIATION; made if it is
                not there.
            message: description of the change.

        Returns:
            The address.

        Raises:
            ValueError: for another address.
            ImportError: names the extra that it needs.
            tasks.hub.HubError: if the hub refuses; names its reason.
        """
        from keras_pose.tasks.cards import KAGGLE_LICENCES, known_licence

        where = hub.parse_address(address)
        licence = known_licence(self.facts, KAGGLE_LICENCES)
        with tempfile.TemporaryDirectory() as folder:
            self.save_to_preset(folder)
            return hub.upload(where, Path(folder), message, licence)
