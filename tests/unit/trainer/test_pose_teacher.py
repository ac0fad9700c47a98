"""Pose networks that learn from others: at every step, or from labels made once."""

import json

import keras
import numpy as np
import pytest
from exported_files import BGR, CODEC, SKELETON, tiny_model
from keras import layers
from PIL import Image
from says import Says

from keras_pose.codecs import CODECS, GaussianHeatmapCodec
from keras_pose.contracts.entries import save_keras_model
from keras_pose.contracts.pose import keras_contract
from keras_pose.data.mapping import map_table
from keras_pose.data.readers.coco import Reading, read_coco
from keras_pose.data.sources import synthetic_source
from keras_pose.losses import JointsMSE
from keras_pose.pictures.normalization import IMAGENET
from keras_pose.skeleton import COCO_17, Skeleton
from keras_pose.trainer import fit, pose_teacher
from keras_pose.trainer.pose_teacher import (
    copies_maps,
    known_keypoints,
    labelled_by_teacher,
    with_teacher,
)
from keras_pose.trainer.recipes import get_recipe
from keras_pose.trainer.run_dirs import open_run_dir, read_recipe

HIPS = Skeleton("hips", ("left_hip", "tail", "right_hip"))


@pytest.fixture(scope="module")
def teacher_path(tmp_path_factory):
    model = tiny_model()
    path = tmp_path_factory.mktemp("teacher") / "teacher.keras"
    save_keras_model(model, path, keras_contract(model, CODEC, SKELETON, BGR))
    return str(path)


def test_maps_of_another_size_are_resized_about_the_first_pixel():
    own, theirs = (CODECS["dark"].for_input(hw) for hw in ((64, 48), (128, 96)))
    xy = np.array([[[13.0, 21.0], [30.3, 40.8], [24.6, 9.9]]], np.float32)
    maps, _ = theirs.encode(2 * xy, np.full((1, 3), 2))
    resized = pose_teacher._resized(maps, own.heatmap_hw, [0.5, 0.5])
    found, _ = own.decode(np.asarray(resized))
    # Resized about the corner of the first pixel they would be a pixel off.
    np.testing.assert_allclose(found, xy, atol=0.4)


def test_keypoints_are_matched_by_name_or_refused(teacher_path):
    contract = keras_contract(tiny_model(), CODEC, SKELETON, BGR)
    assert known_keypoints(HIPS, contract, "x").tolist() == [1, -1, 2]
    with Says(
        "The teacher x.keras finds nose, left_hip, right_hip, none of which is to be "
        "learned: tail, ear",
        do="Take a teacher that knows some of your keypoints, under the same names.",
    ).refuses():
        known_keypoints(Skeleton("cat", ("tail", "ear")), contract, "x.keras")
    assert copies_maps(teacher_path, CODEC)
    assert not copies_maps(teacher_path, CODECS["simcc"].for_input((64, 48)))


@pytest.mark.slow
def test_a_student_comes_nearer_to_its_teacher_where_nobody_is_labelled(teacher_path):
    keras.utils.set_random_seed(0)
    codec = GaussianHeatmapCodec((64, 48), stride=4, sigma=1.0)
    image = keras.Input((64, 48, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(image)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    student = keras.Model(image, layers.Conv2D(3, 1)(x), name="student")
    model = with_teacher(student, teacher_path, 0.25, codec, HIPS, IMAGENET, JointsMSE())
    assert len(model.weights) == len(student.weights)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 12, 3))
    pixels = np.repeat(np.repeat(pixels, 4, axis=1), 4, axis=2)
    images = IMAGENET(pixels.astype("float32"))

    model.compile(keras.optimizers.Adam(0.01), JointsMSE(), loss_weights=[0.75])
    nothing = np.zeros((4, 16, 12, 3), "float32"), np.zeros((4, 3), "float32")
    losses = [float(model.train_on_batch(images, *nothing)) for _ in range(30)]

    # What the teacher says of these pictures, in its own size and normalisation.
    small = pixels[:, ::2, ::2].astype("float32")
    maps = tiny_model()(BGR(small))[-1].numpy()[..., [1, 0, 2]]
    resized = np.asarray(pose_teacher._resized(maps, (16, 12), [2.0, 2.0]))
    confidence = np.clip(resized.max(axis=(1, 2)), 0, 1) * [1, 0, 1]
    gap = 0.5 * ((resized - student(images).numpy()) ** 2).mean(axis=(1, 2))
    assert float(model.test_on_batch(images, *nothing)) == 0  # validation has no teacher
    expected = 0.25 * (gap * confidence).mean()
    assert float(model.train_on_batch(images, *nothing)) == pytest.approx(expected, rel=0.1)
    assert losses[-1] < 0.7 * losses[0]


def test_people_without_keypoints_stay_where_a_teacher_knows_them(tmp_path):
    Image.new("RGB", (60, 80)).save(tmp_path / "a.png")
    image = {"id": 1, "file_name": "a.png", "height": 80, "width": 60}
    person = {"image_id": 1, "category_id": 1, "iscrowd": 0, "area": 600}
    labelled = person | {"id": 1, "bbox": [1, 2, 20, 30], "keypoints": [9, 9, 2] * 17}
    bare = person | {"id": 2, "bbox": [30, 2, 20, 30], "num_keypoints": 0}
    bare["keypoints"] = [0] * 51
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.names)}
    path = tmp_path / "a.json"
    contents = {"images": [image], "annotations": [labelled, bare]}
    path.write_text(json.dumps(contents | {"categories": [category]}))
    assert len(read_coco(path, tmp_path)) == 1
    table = read_coco(path, tmp_path, reading=Reading(keeps_unlabelled=True))
    assert table.visibility.any(axis=1).tolist() == [True, False]
    assert len(map_table(table, COCO_17, HIPS)) == 2


@pytest.mark.slow
def test_a_file_for_phones_labels_everybody_once(exported, tmp_path, monkeypatch):
    source = synthetic_source(2, 0)
    path = str(exported.paths["onnx"])
    assert not copies_maps(path, CODEC)
    taught = labelled_by_teacher(source, path, tmp_path, writes=True)
    known = [COCO_17.index(name) for name in SKELETON.names]
    unknown = [i for i in range(17) if i not in known]
    assert not taught.visibility[:, unknown].any()
    assert (taught.visibility[:, known] > 0).any()
    assert taught.confidence.min() >= 0
    assert taught.confidence.max() <= 1
    monkeypatch.setattr(pose_teacher, "_label", None)  # not again
    again = labelled_by_teacher(source, path, tmp_path, writes=False)
    np.testing.assert_array_equal(again.keypoints_xy, taught.keypoints_xy)


class KillError(Exception):
    pass


class Kill(keras.callbacks.Callback):
    """Dies at a step."""

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) == 3:
            raise KillError


@pytest.mark.very_slow
@pytest.mark.parametrize("kind", [".keras", "onnx"])
def test_a_taught_run_resumed_equals_an_uninterrupted_one(kind, exported, tmp_path):
    teacher = str(exported.paths[kind])
    recipe = get_recipe("testing_pose", "synthetic").override(
        input_hw=(64, 64), batch_size=4, synthetic_images=4, epochs=2, teacher=teacher
    )
    whole = fit.fit(recipe, tmp_path / "whole")
    run_dir = open_run_dir(tmp_path / "run", recipe)
    with pytest.raises(KillError):
        fit.fit(recipe, run_dir, watchers=[Kill()], save_minutes=1e-9)
    fit.fit(read_recipe(run_dir), run_dir)
    ours, expected = (
        keras.models.load_model(run / "last.keras").get_weights()
        for run in (run_dir, whole)
    )
    for value, other in zip(ours, expected, strict=True):
        np.testing.assert_array_equal(value, other)
    best = keras.models.load_model(whole / "best.keras")
    assert not [layer for layer in best.layers if "teacher" in layer.name]
