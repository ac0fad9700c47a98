"""A cascade is trained, written, read back, and better than its first stage."""

import keras
import numpy as np
import pytest

from keras_pose.contracts.entries import save_keras_model
from keras_pose.contracts.pose import keras_contract
from keras_pose.data.pipeline import training_dataset
from keras_pose.data.sources import synthetic_source
from keras_pose.data.transforms import Augmentation
from keras_pose.losses import LOSSES
from keras_pose.runtime.cascade import load_cascade
from keras_pose.skeleton import COCO_17, MPII_16
from keras_pose.trainer.cascade_fit import CascadeRecipe, fit_cascade, measure_cascade
from keras_pose.weights.creation import create_model
from keras_pose.zoo import get_spec

MODEL = "deep_pose_resnet18"
INPUT_HW = (64, 64)
NO_AUGMENTATION = Augmentation(0, 0, 0, 0, 0)


@pytest.fixture(scope="module")
def source():
    return synthetic_source(6, seed=3)


def save_first(path, source, skeleton=COCO_17, num_steps=0, rate=2e-4):
    """Trains a first stage for a few steps; slowly, as its weights start small."""
    keras.utils.set_random_seed(0)
    spec = get_spec(MODEL)
    model = create_model(MODEL, skeleton.num_keypoints, INPUT_HW)
    codec = spec.make_codec(INPUT_HW)
    batches = training_dataset(source, codec, spec.normalization, NO_AUGMENTATION, 16)
    model.compile(keras.optimizers.Adam(rate), LOSSES["l2"](), jit_compile=False)
    for batch in batches.take(num_steps):
        model.train_on_batch(*batch)
    contract = keras_contract(model, codec, skeleton, spec.normalization)
    return save_keras_model(model, path, contract)


@pytest.mark.very_slow
def test_refinement_lowers_the_error_on_the_people_it_learned(tmp_path, source):
    first = save_first(tmp_path / "first.keras", source, num_steps=15)
    recipe = CascadeRecipe(
        MODEL,
        input_hw=(32, 32),
        num_stages=2,
        steps=60,
        people_per_batch=4,
        learning_rate=2e-4,
    )

    run_dir = fit_cascade(recipe, first, source, tmp_path / "cascade")
    cascade = load_cascade(run_dir)
    errors = measure_cascade(cascade, source)

    # 0.79 of it is left; a stage that learned nothing but noise makes it larger.
    assert errors[1] < 0.9 * errors[0]
    sample = source.load(0)
    stages = cascade.estimate(sample.image, np.stack([sample.box_xywh] * 2))
    assert [pose.shape for pose in stages] == [(2, 17, 2)] * 2
    np.testing.assert_allclose(stages[1][0], stages[1][1], atol=1e-3)


def test_people_of_another_skeleton_are_refused_before_anything_is_written(
    tmp_path, source
):
    first = save_first(tmp_path / "first.keras", source, MPII_16)

    with pytest.raises(ValueError, match="labelled"):
        fit_cascade(CascadeRecipe(MODEL), first, source, tmp_path / "cascade")

    assert not (tmp_path / "cascade").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "pose_slim"}, "gives none"),
        ({"num_stages": 1}, "2 stages"),
        ({"steps": 0}, "steps must be positive"),
        ({"crop_scale": -1.0}, "crop_scale must be positive"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        CascadeRecipe(**values)
