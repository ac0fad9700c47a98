"""`PoseTask`: a pose network that takes photos, is trained, measured, exported and shared.

Runs without TensorFlow where the network is a `.tflite` or `.onnx` file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_pose.bottomup_contract import BottomUpContract
from keras_pose.inference import PoseEstimator
from keras_pose.normalization import Normalization
from keras_pose.runtime.bottom_up import BottomUpModel, load_pose
from keras_pose.runtime.loading import KERAS_TYPES, file_type
from keras_pose.runtime.pose_model import PoseModel
from keras_pose.shipped import POSE, shipped_file
from keras_pose.skeleton import COCO_17, SKELETONS, Skeleton, default_skeleton, is_numbered
from keras_pose.structures import Poses
from keras_pose.tasks import folders, hub, presets
from keras_pose.tasks.photos import as_photos

if TYPE_CHECKING:
    from keras_pose.exporting.formats.writing import Export
    from keras_pose.metrics.protocol import Measurement
    from keras_pose.weights.catalog import CatalogEntry

# Facts of a row of the catalogue that stay with its weights.
FACTS = ("licence", "trained_on", "source", "metric", "value", "protocol")


class PoseTask:
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
        contract: codec, keypoints, normalization, see `keras_pose.contract`.
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
        self._set_network(network, contract)
        self.facts = dict(facts or {})
        self._is_untrained = ""
        self._detector = detector
        self._asked: Skeleton | None = None
        self._file: Path | None = None  # that has the weights as they are

    def _set_network(self, network, contract) -> None:
        if contract is None:
            from keras_pose.weights.provenance import file_contract_of, runnable_network

            network = runnable_network(network)
            contract = file_contract_of(network)
        self.network = network
        self.contract: folders.PoseContract = _of_poses(contract, network.name)
        self.recipe: dict[str, Any] = {}
        self.measured: list[Measurement] = []
        self._runnable: PoseModel | BottomUpModel | None = None
        self._estimator: PoseEstimator | None = None

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
                model that comes with the package, a folder that `save_to_preset` wrote,
                hf://OWNER/REPO, or kaggle://OWNER/MODEL/keras/VARIATION.
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
        text = str(preset)
        wanted = _named_skeleton(skeleton)
        if hub.is_address(text):
            folder = hub.download(hub.parse_address(text))
            return cls._from_folder(folder, wanted, num_keypoints, detector)
        if Path(preset).is_dir():
            return cls._from_folder(Path(preset), wanted, num_keypoints, detector)
        if isinstance(preset, Path) or not presets.is_preset_name(text):
            raise FileNotFoundError(
                f"The preset {text!r} is neither a folder nor a name: {_hint(text)}"
            )
        if text == presets.SHIPPED:
            _check_kept(wanted, num_keypoints, text)
            return cls.from_file(shipped_file(POSE), detector=detector)
        entry = presets.pose_preset(text)
        return cls._from_entry(entry, wanted, num_keypoints, detector)

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
        if file_type(path) in KERAS_TYPES:
            from keras_pose.exporting.inputs import open_source

            source = open_source(path, model=model)
            task = cls(source.model, _of_poses(source.contract, path), detector)
            task.recipe = source.recipe
        else:
            runnable = load_pose(path, model)
            task = cls.__new__(cls)
            task._init_file(runnable, detector)
        task._file = Path(path)
        return task

    def _init_file(self, runnable: PoseModel | BottomUpModel, detector) -> None:
        self.network, self.contract = None, runnable.contract
        self.facts, self.recipe, self.measured = {}, {}, []
        self._is_untrained, self._detector, self._asked = "", detector, None
        self._runnable, self._estimator = runnable, None

    @classmethod
    def _from_entry(cls, entry: CatalogEntry, skeleton, num_keypoints, detector):
        from keras_pose.weights.creation import create_model

        presets.announce([entry])
        count = skeleton.num_keypoints if skeleton else num_keypoints
        network = create_model(entry.model, count, weights=entry.weights, skeleton=skeleton)
        contract = _with_skeleton(network, skeleton) if entry.is_backbone else None
        facts = {name: getattr(entry, name) for name in FACTS}
        task = cls(network, contract, detector, facts)
        task._ask_for(skeleton)
        if entry.is_backbone:
            task._is_untrained = presets.preset_name(entry)
        if task.network is network and not entry.is_backbone and count is None:
            from keras_pose.weights.loading import conversion_path

            task._file = conversion_path(entry)
        return task

    @classmethod
    def _from_folder(cls, folder: Path, skeleton, num_keypoints, detector):
        preset = folders.read_preset(folder)
        network = folders.build_preset(preset)
        task = cls(network, preset.contract, detector, preset.facts)
        task._file = preset.weights
        count = skeleton.num_keypoints if skeleton else num_keypoints
        if count is not None:
            task._change_keypoints(count, skeleton, str(folder))
        return task

    def _change_keypoints(self, count: int, skeleton, source: str) -> None:
        from keras_pose.weights.heads import with_keypoints
        from keras_pose.weights.provenance import Provenance, contract_of, set_provenance

        contract = self.contract
        if isinstance(contract, BottomUpContract):
            raise ValueError(
                f"{contract.model} finds everybody in a picture: its keypoints and limbs "
                "cannot be changed."
            )
        said = Provenance(
            source, contract.normalization, contract.codec.kind, contract.skeleton
        )
        network = with_keypoints(set_provenance(self.network, said), count, skeleton)
        if network is not self.network:
            self._file = None
            self._set_network(network, contract_of(network))
        self._ask_for(skeleton)

    def _ask_for(self, skeleton: Skeleton | None) -> None:
        """Notes keypoints that the user names: `fit` trains on these, and on no others."""
        contract = self.contract
        if skeleton is not None and is_numbered(contract.skeleton):
            self.contract = dataclasses.replace(contract, skeleton=skeleton)
        self._asked = skeleton

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
        from keras_pose.models.trunks import build_on_trunk
        from keras_pose.tasks.backbones import open_backbone, usual_normalization
        from keras_pose.weights.provenance import Provenance, contract_of, set_provenance
        from keras_pose.zoo import TRUNK_MODEL

        asked = _named_skeleton(skeleton)
        wanted = asked or COCO_17
        trunk, found = open_backbone(backbone, load_weights)
        network = build_on_trunk(
            trunk, wanted.num_keypoints, input_hw, head_channels, TRUNK_MODEL
        )
        said = normalization or usual_normalization(found)
        name = str(getattr(trunk, "name", backbone))
        set_provenance(network, Provenance(name, said, skeleton=wanted, is_backbone=True))
        task = cls(network, contract_of(network), detector, {"trunk": name})
        task._ask_for(asked)
        task._is_untrained = f"a head on {name}"
        return task

    @property
    def skeleton(self) -> Skeleton:
        """Names and limbs of the keypoints."""
        return self.contract.skeleton

    @property
    def estimator(self) -> PoseEstimator:
        """What `predict` asks: the network with what finds people."""
        if self._estimator is None:
            detector = self._detector
            if isinstance(detector, str) and _is_detector_preset(detector):
                entry = presets.detector_preset(detector)
                detector = presets.converted_preset(entry)
            self._estimator = PoseEstimator(self._model(), detector)
        return self._estimator

    def _model(self) -> PoseModel | BottomUpModel:
        """Returns the network ready to run; changes of its weights are seen."""
        if self._is_untrained:
            raise ValueError(
                f"{self._is_untrained} gives the weights of a trunk; its head starts at "
                "random, so there is nothing to run before fit(...)."
            )
        if self._runnable is None:
            network, contract = self.network, self.contract
            if isinstance(contract, BottomUpContract):
                self._runnable = BottomUpModel.from_keras(network, contract)
            else:
                self._runnable = PoseModel.from_keras(network, contract)
        return self._runnable

    def predict(self, photos) -> Poses | list[Poses]:
        """Finds the people in photos, and their keypoints.

        Args:
            photos: a path, (H, W, 3) uint8 RGB pixels, an image of Pillow's, or whatever
                else `images.as_image` takes; or a list of such, or (N, H, W, 3) pixels.

        Returns:
            The `Poses` of a photo, or a list with those of each of several.

        Raises:
            ValueError: for what is no photo; says which of several it is.
            images.ImageError: for a file that cannot be read.
        """
        given, is_single = as_photos(photos)
        poses = [self.estimator(image, image_id=name) for name, image in given]
        return poses[0] if is_single else poses

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
            _refuse(refused, "goes with a tf.data.Dataset, not with a labelled set")
            from keras_pose.tasks.sets import name_set
            from keras_pose.tasks.training import fit_set

            if epochs is not None:
                entries["epochs"] = epochs
            named = name_set(data, dataset)
            if self._asked is not None and self._asked != named.skeleton:
                entries = {"skeleton": _skeleton_entry(self._asked)} | entries
            run = fit_set(network, contract, named, run_dir, devices, entries)
            self._take_best(run)
            return run
        refused = {
            "dataset": dataset is not None,
            "run_dir": run_dir is not None,
            "devices": devices != "auto",
        }
        _refuse(refused, "goes with a labelled set, not with a tf.data.Dataset")
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

    def _trainable(self):
        if self.network is None:
            raise ValueError(
                f"{self._file} is a file to run: it cannot be trained. Start from a preset "
                "of Keras weights, or from the .keras file it was made of."
            )
        if isinstance(self.contract, BottomUpContract):
            raise ValueError(
                f"{self.contract.model} sees whole pictures: training/train.py trains it."
            )
        return self.network, self.contract

    def _take_best(self, run: Path) -> None:
        """Goes on with the best weights of a run."""
        from keras_pose.exporting.inputs import open_source
        from keras_pose.runs import BEST_NAME

        best = run / BEST_NAME
        source = open_source(best)
        self._set_network(source.model, source.contract)
        self.recipe, self._is_untrained, self._file = source.recipe, "", best

    def evaluate(
        self,
        data,
        *,
        dataset: str | None = None,
        split: str = "val",
        metrics: Sequence[str] | None = None,
        flip_test: bool = False,
        limit: int | None = None,
    ) -> Measurement:
        """Measures the network on the labelled people of a set, in their own boxes.

        Args:
            data: folder of a labelled set, or words such as "coco".
            dataset: name of the folder's set, see `tasks.sets.name_set`.
            split: "val" or "train".
            metrics: keys of `metrics.METRICS`; None for those of the data set.
            flip_test: True to average mirrored crops in.
            limit: images to take, the first of the split; None for all.

        Returns:
            Figures with the protocol they were measured under; they are printed, and go
            into the model card.

        Raises:
            ValueError, FileNotFoundError: for a set that does not fit or is not there.
        """
        from keras_pose.measuring import MeasureSettings, open_split
        from keras_pose.tasks.sets import name_set

        named, model = name_set(data, dataset), self._model()
        if isinstance(model, BottomUpModel):
            _refuse(
                {"metrics": metrics, "flip_test": flip_test},
                "is not for networks that see whole pictures",
            )
        settings = MeasureSettings(
            named.name,
            named.data_dir,
            split,
            limit,
            metrics=tuple(metrics or ()),
            flip_test=flip_test,
        )
        opened = open_split(self.contract, settings)
        for remark in opened.remarks:
            print(remark)
        with self._as_file() as file:
            measurement: Measurement = opened.measure(model, file).measurement
        print(measurement.describe())
        self.measured.append(measurement)
        return measurement

    @contextlib.contextmanager
    def _as_file(self) -> Iterator[Path]:
        """Yields a file of the weights as they are."""
        if self._file is not None:
            yield self._file
            return
        from keras_pose.contract import save_keras_model

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{self.contract.model}.keras"
            yield save_keras_model(self.network, path, self.contract)

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
        if self.network is None:
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
        if self.network is None:
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


def _named_skeleton(skeleton):
    if isinstance(skeleton, str):
        from keras_pose.data.mixing import load_skeleton

        return load_skeleton(skeleton)
    return skeleton


def _of_poses(contract, source) -> folders.PoseContract:
    """Returns a contract of a network that finds keypoints; refuses those of detectors."""
    if not isinstance(contract, folders.PoseContract):
        raise ValueError(f"A PoseTask finds keypoints; {source} finds boxes.")
    return contract


def _skeleton_entry(skeleton: Skeleton) -> str | dict[str, Any]:
    """Returns what a recipe says of keypoints: a name, or the contents of a file."""
    from keras_pose.skeleton.files import skeleton_to_dict

    is_built_in = SKELETONS.get(skeleton.name) == skeleton
    return skeleton.name if is_built_in else skeleton_to_dict(skeleton)


def _with_skeleton(network, skeleton):
    """Returns the contract of a network whose head is at random."""
    from keras_pose.weights.heads import num_predicted
    from keras_pose.weights.provenance import contract_of, provenance_of, set_provenance

    wanted = skeleton or default_skeleton(num_predicted(network))
    set_provenance(network, dataclasses.replace(provenance_of(network), skeleton=wanted))
    return contract_of(network)


def _is_detector_preset(detector: str) -> bool:
    return presets.is_preset_name(detector) and not Path(detector).exists()


def _check_kept(skeleton, num_keypoints, name: str) -> None:
    if skeleton is not None or num_keypoints is not None:
        raise ValueError(
            f"{name} is a file to run, whose keypoints cannot be changed; start from the "
            "preset of a network."
        )


def _hint(text: str) -> str:
    if "/" not in text and "\\" not in text and "." not in text:
        return "names are letters, digits and _."
    if Path(text).is_file():
        return "a model file goes to PoseTask.from_file."
    return "the folder does not exist."


def _refuse(given: dict[str, Any], why: str) -> None:
    """Refuses arguments that would have no effect."""
    for name, value in given.items():
        if value:
            raise ValueError(f"{name} {why}.")
