"""`fit_cascade`: trains the stages that refine a DeepPose, one after the other.

Source: Toshev and Szegedy 2014 (arXiv:1312.4659), sec. 3.2. Each stage is trained on what
the ones before it, simulated, would have left to do. Sub-images are cut by NumPy, in this
process: there are as many crops of a picture as joints, and `tf.data` would decode it for
each.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from keras_pose.contracts.entries import save_keras_model
from keras_pose.contracts.pose import keras_contract
from keras_pose.data.sources import PersonSource
from keras_pose.files import atomic_path, check_writable, write_json
from keras_pose.losses import LOSSES
from keras_pose.runtime import PoseModel, load_model
from keras_pose.runtime.cascade import (
    CASCADE_NAME,
    CROP_SCALE,
    Cascade,
    Displacements,
    JointSamples,
    Stage,
    check_regresses,
    draw_joint_samples,
    estimate_first,
    measure_displacements,
    pose_diameters,
    refine,
    stack_samples,
)
from keras_pose.trainer.callbacks import without_optimizer
from keras_pose.weights.creation import create_model
from keras_pose.zoo import get_spec


@dataclass(frozen=True)
class CascadeRecipe:
    """Settings to train the refining stages.

    Attributes:
        model: zoo name of their network, one with codec "regression".
        input_hw: sub-image (height, width), pixels.
        num_stages: number of stages of the whole cascade, the first included; 3 in the
            paper.
        crop_scale: width of a sub-image, in diameters of the pose.
        steps: batches to train each stage on.
        people_per_batch: number of people in a batch.
        joints_per_person: sub-images of each of them.
        learning_rate: learning rate of Adam at the start; it falls to 0 along a cosine.
        loss: key of `keras_pose.losses.LOSSES`, the paper's by default.
        seed: seed of weights and samples.

    Raises:
        ValueError: for a number out of range, or a network that gives no coordinates.
    """

    model: str = "deep_pose_resnet18"
    input_hw: tuple[int, int] = (128, 128)
    num_stages: int = 3
    crop_scale: float = CROP_SCALE
    steps: int = 2000
    people_per_batch: int = 16
    joints_per_person: int = 8
    learning_rate: float = 5e-4
    loss: str = "l2"
    seed: int = 0

    def __post_init__(self) -> None:
        if get_spec(self.model).codec != "regression":
            raise ValueError(f"A cascade refines coordinates; {self.model} gives none.")
        if self.num_stages < 2:
            raise ValueError(f"A cascade has 2 stages or more, got {self.num_stages}.")
        for name in ("crop_scale", "steps", "people_per_batch", "joints_per_person"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}.")


def fit_cascade(recipe: CascadeRecipe, first, source: PersonSource, run_dir) -> Path:
    """Trains the refining stages of a first stage that is trained.

    Args:
        recipe: settings of the training.
        first: `.keras` file of the first stage, such as a run's best.keras.
        source: people to train on; those without a shoulder and the opposite hip labelled
            are left out.
        run_dir: folder to be made for the cascade, for `cascade.load_cascade`.

    Returns:
        The folder.

    Raises:
        ValueError: if the first stage gives no coordinates, or is for other keypoints
            than those of `source`; if there are no people to train on.
        FileNotFoundError: if there is no such first stage.
    """
    first = Path(first)
    model = load_model(first)
    _check_first(first, model, source)
    run_dir = Path(run_dir)
    check_writable(run_dir)
    people = _People(source)
    stage = Stage(model.predict, model.contract)
    predicted_xy = people.map(lambda image, box, _: estimate_first(image, box, stage))
    names = ["stage1.keras"]
    with atomic_path(run_dir / names[0]) as temporary:
        shutil.copyfile(first, temporary)
    for number in range(2, recipe.num_stages + 1):
        print(
            f"stage {number - 1}     off by {people.mean_error(predicted_xy):.4f} diameters"
        )
        displacements = people.measure_displacements(predicted_xy)
        network, contract = _fit_stage(recipe, number, source, people, displacements)
        names.append(f"stage{number}.keras")
        save_keras_model(network, run_dir / names[-1], contract)
        stage = Stage(PoseModel.from_keras(network, contract).predict, contract)
        predicted_xy = people.map(_refiner(stage, recipe.crop_scale), predicted_xy)
    print(f"stage {number}     off by {people.mean_error(predicted_xy):.4f} diameters")
    description = {"stages": names, "crop_scale": recipe.crop_scale}
    write_json(run_dir / CASCADE_NAME, description | {"recipe": asdict(recipe)})
    return run_dir


def measure_cascade(cascade: Cascade, source: PersonSource) -> list[float]:
    """Returns the mean error of each stage: distance to labelled joints, in diameters."""
    people = _People(source)
    poses = [people.map(lambda image, box, _: estimate_first(image, box, cascade.first))]
    for stage in cascade.refinements:
        poses.append(people.map(_refiner(stage, cascade.crop_scale), poses[-1]))
    return [people.mean_error(predicted_xy) for predicted_xy in poses]


def _refiner(stage: Stage, crop_scale: float):
    return lambda image, _, pose: refine(image, pose, stage, crop_scale)


def _check_first(path: Path, model: PoseModel, source: PersonSource) -> None:
    check_regresses(model.contract)
    found, wanted = model.contract.skeleton.names, source.skeleton.names
    if found != wanted:
        raise ValueError(f"{path} finds {found}, but the people have {wanted} labelled.")


class _People:
    """The people of a source that a cascade can be trained on and measured by.

    Attributes:
        indices: (N,) of them in the source.
        diameters: (N,) image pixels.
    """

    def __init__(self, source: PersonSource):
        is_known = source.visibility > 0
        diameters = pose_diameters(source.keypoints_xy, is_known, source.skeleton)
        self.indices = np.flatnonzero(diameters > 0)
        if not len(self.indices):
            raise ValueError(
                "A cascade needs people with shoulder and opposite hip labelled: there "
                f"are none among {len(source)}."
            )
        self.diameters = diameters[self.indices]
        self._source = source

    def map(self, estimate: Callable, poses_xy=None):
        """Applies `estimate(image, boxes_xywh, poses_xy)` to all people: (N, K, 2).

        Args:
            estimate: returns the joints of the people of one image, image pixels.
            poses_xy: (N, K, 2), their joints so far; None for the first stage.
        """
        source, result = self._source, []
        for number, index in enumerate(tqdm(self.indices, "poses", disable=None)):
            sample = source.load(index)
            pose = None if poses_xy is None else poses_xy[number : number + 1]
            result.append(estimate(sample.image, sample.box_xywh[None], pose)[0])
        return np.stack(result)

    def measure_displacements(self, predicted_xy) -> Displacements:
        return measure_displacements(
            predicted_xy, self._keypoints_xy, self._is_known, self.diameters
        )

    def mean_error(self, predicted_xy) -> float:
        """Returns the mean distance to labelled joints, in diameters of their poses."""
        distances = np.linalg.norm(predicted_xy - self._keypoints_xy, axis=-1)
        return float((distances / self.diameters[:, None])[self._is_known].mean())

    @property
    def _keypoints_xy(self):
        return self._source.keypoints_xy[self.indices]

    @property
    def _is_known(self):
        return self._source.visibility[self.indices] > 0


def _fit_stage(recipe, number, source, people, displacements):
    """Trains one refining stage; returns its network and contract."""
    keras.utils.set_random_seed(recipe.seed + number)
    rng = np.random.default_rng([recipe.seed, number])
    spec = get_spec(recipe.model)
    codec = spec.make_codec(recipe.input_hw)
    network = create_model(recipe.model, source.skeleton.num_keypoints, recipe.input_hw)
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, recipe.steps)
    network.compile(keras.optimizers.Adam(rate), LOSSES[recipe.loss](), jit_compile=False)
    bar = tqdm(range(recipe.steps), f"stage {number}", disable=None)
    for _ in bar:
        samples = _draw_samples(recipe, source, people, displacements, rng)
        targets, weights = codec.encode(samples.keypoints_xy, samples.visibility)
        # The mean is over all K joints of a sub-image, of which one counts.
        weights *= source.skeleton.num_keypoints
        images = spec.normalization(samples.crops)
        loss = network.train_on_batch(images, targets, weights)
        bar.set_postfix(loss=float(loss), refresh=False)
    network = without_optimizer(network)
    return network, keras_contract(network, codec, source.skeleton, spec.normalization)


def _draw_samples(recipe, source, people, displacements, rng) -> JointSamples:
    """Draws a batch: some people, and several sub-images of each."""
    samples = []
    for index in rng.choice(people.indices, recipe.people_per_batch):
        person = source.load(index)
        samples.append(
            draw_joint_samples(
                person.image,
                person.keypoints_xy,
                person.visibility,
                displacements,
                source.skeleton,
                recipe.input_hw,
                recipe.joints_per_person,
                rng,
                recipe.crop_scale,
            )
        )
    return stack_samples(samples)
