"""Synthetic people: same seed same bytes, labels where the body really is."""

import json

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from keras_pose.data.synthetic import draw_scene, scene_seed, write_coco_dataset
from keras_pose.data.synthetic.anatomy import (
    JOINT_LIMITS_DEGREES,
    Pose,
    build_anatomy,
    pose_body,
    sample_anatomy,
    sample_pose,
)
from keras_pose.data.synthetic.coco_writer import GENERATOR_VERSION
from keras_pose.data.synthetic.figure import Figure, View
from keras_pose.data.synthetic.scene import is_judgeable
from keras_pose.data.synthetic.wardrobe import sample_look
from keras_pose.skeleton import COCO_17

SCENES = [draw_scene(seed=3, index=index) for index in range(12)]
PEOPLE = [(scene, i, person) for scene in SCENES for i, person in enumerate(scene.people)]
INDEX = {name: i for i, name in enumerate(COCO_17.names)}


def _same(first, second):
    """Tells whether two scenes are equal to the last bit."""
    return np.array_equal(first.image, second.image) and all(
        np.array_equal(a.keypoints_xy, b.keypoints_xy)
        and np.array_equal(a.visibility, b.visibility)
        and np.array_equal(a.box_xywh, b.box_xywh)
        and a.area == b.area
        for a, b in zip(first.people, second.people, strict=True)
    )


def test_a_scene_depends_on_its_arguments_only_and_not_on_the_order_of_calls():
    assert _same(draw_scene(3, 7), SCENES[7])
    assert _same(draw_scene(3, 2), SCENES[2])


def test_the_generator_gives_what_its_version_number_gave():
    # Folders are resumed by version: a change that moves these points must raise
    # GENERATOR_VERSION, or old pictures would meet new labels.
    assert GENERATOR_VERSION == "1.1"
    person = draw_scene(seed=0, index=2).people[1]
    names = ("left_shoulder", "right_wrist", "left_ankle")
    keypoints_xy = person.keypoints_xy[[INDEX[name] for name in names]]
    expected_xy = (
        (93.87, 117.57),
        (59.23, 173.08),
        (93.70, 236.10),
    )
    np.testing.assert_allclose(keypoints_xy, expected_xy, atol=0.01)


@pytest.mark.parametrize("other", [(3, 1), (4, 0)], ids=["index", "seed"])
def test_another_index_or_seed_gives_another_scene(other):
    assert not np.array_equal(draw_scene(*other).image, SCENES[0].image)


def test_arrays_have_the_promised_types_and_shapes():
    scene = draw_scene(0, 0, image_hw=(96, 128))
    assert scene.image.shape == (96, 128, 3)
    assert scene.image.dtype == np.uint8
    for person in scene.people:
        assert person.keypoints_xy.shape == (17, 2)
        assert person.keypoints_xy.dtype == np.float32
        assert person.visibility.dtype == np.uint8
        assert person.box_xywh.dtype == np.float32
        assert set(np.unique(person.visibility)) <= {0, 1, 2}


def test_labelled_keypoints_lie_in_the_image_and_others_are_zero():
    for scene, _, person in PEOPLE:
        height, width = scene.image.shape[:2]
        labelled = person.visibility > 0
        assert np.all(person.keypoints_xy[~labelled] == 0)
        assert np.all(person.keypoints_xy[labelled] >= 0)
        assert np.all(person.keypoints_xy[labelled] <= (width - 1, height - 1))


def test_visible_keypoints_lie_on_the_person_and_in_its_box():
    num_visible = 0
    for scene, i, person in PEOPLE:
        left, top, width, height = person.box_xywh
        for x, y in person.keypoints_xy[person.visibility == 2]:
            assert scene.owner[round(float(y)), round(float(x))] == i + 1
            # A pixel reaches half a pixel beyond its centre.
            assert left - 0.5 <= x <= left + width - 0.5
            assert top - 0.5 <= y <= top + height - 0.5
            num_visible += 1
    assert num_visible > 100  # the loops above must have looked at something


def test_keypoints_that_somebody_else_covers_are_occluded():
    num_covered = 0
    for scene, i, person in PEOPLE:
        for (x, y), flag in zip(person.keypoints_xy, person.visibility, strict=True):
            if flag and scene.owner[round(float(y)), round(float(x))] != i + 1:
                assert flag == 1
                num_covered += 1
    assert num_covered > 0


def test_area_counts_the_visible_pixels_and_the_box_is_tight_around_them():
    is_nearest, is_exact = [], []
    for scene, i, person in PEOPLE:
        mask = scene.owner == i + 1
        assert person.area == np.count_nonzero(mask)
        box = person.box_xywh
        left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
        assert np.all(box[:2] <= (left, top))
        assert np.all(box[:2] + box[2:] >= (left + width, top + height))
        is_nearest.append(i == len(scene.people) - 1)
        is_exact.append(np.array_equal(box, (left, top, width, height)))
    # The nearest person is hidden by a plant or table in fewer than a quarter of scenes.
    assert np.mean(np.array(is_exact)[is_nearest]) > 0.6


def test_most_people_are_large_and_most_keypoints_visible():
    heights = [person.box_xywh[3] / 256 for _, _, person in PEOPLE]
    flags = np.concatenate([person.visibility for _, _, person in PEOPLE])
    assert np.mean(np.array(heights) > 0.35) > 0.7
    assert 0.5 < np.mean(flags == 2) < 0.95


def _project(yaw_degrees, **angles):
    """Poses an adult, and returns the joints in pixels and metres."""
    body = pose_body(
        build_anatomy("man", 1.8, 1.0), Pose("standing", angles, yaw=yaw_degrees)
    )
    view = View(np.array((128.0, 128.0)), 100.0, 6.0)
    return {name: view.project(xyz) for name, xyz in body.joints.items()}, body.joints


@pytest.mark.parametrize("pair", ["shoulder", "hip", "ear", "eye"])
def test_left_is_the_persons_own_left(pair):
    toward_camera, _ = _project(0.0)
    away, _ = _project(180.0)
    assert toward_camera[f"left_{pair}"][0] > toward_camera[f"right_{pair}"][0] + 1
    assert away[f"left_{pair}"][0] < away[f"right_{pair}"][0] - 1


def test_somebody_who_walks_to_the_right_of_the_image_shows_the_right_side():
    xy, xyz = _project(90.0)
    assert xy["nose"][0] > xy["right_ear"][0]
    assert xyz["right_shoulder"][2] > xyz["left_shoulder"][2]  # z points to the camera


def test_joints_bend_the_way_joints_bend():
    _, straight = _project(0.0)
    _, bent = _project(0.0, left_knee_flexion=90.0, left_elbow_flexion=90.0)
    assert bent["left_ankle"][2] < straight["left_ankle"][2] - 0.3  # backwards
    assert bent["left_wrist"][2] > straight["left_wrist"][2] + 0.2  # forwards
    _, raised = _project(0.0, left_shoulder_elevation=90.0, left_shoulder_azimuth=90.0)
    assert raised["left_wrist"][0] > straight["left_wrist"][0] + 0.4  # sideways


def test_sampled_bodies_have_human_proportions_in_every_pose():
    rng = np.random.default_rng(seed=0)
    for _ in range(40):
        anatomy, pose = sample_anatomy(rng), sample_pose(rng)
        for key, angle in pose.angles.items():
            low, high = JOINT_LIMITS_DEGREES[
                key.removeprefix("left_").removeprefix("right_")
            ]
            assert low <= angle <= high
        joints = pose_body(anatomy, pose).joints

        def length(start, end, joints=joints, unit=anatomy.height):
            return np.linalg.norm(joints[start] - joints[end]) / unit

        # Drillis and Contini 1966: thigh 0.245, shin 0.246, upper arm 0.186, forearm
        # 0.146 of the height in adults; children have shorter limbs.
        assert 0.18 < length("left_hip", "left_knee") < 0.26
        assert 0.18 < length("right_knee", "right_ankle") < 0.26
        assert 0.15 < length("left_shoulder", "left_elbow") < 0.20
        assert 0.12 < length("right_elbow", "right_wrist") < 0.16
        assert min(xyz[1] for xyz in joints.values()) > -1e-6  # nobody sinks in


def test_visible_faces_look_at_the_camera_and_backs_of_heads_have_no_nose():
    look = sample_look(np.random.default_rng(0), "man")
    view = View(np.array((128.0, 128.0)), 100.0, 6.0)
    shown = {}
    for yaw in (0.0, 90.0, 180.0):
        body = pose_body(build_anatomy("man", 1.8, 1.0), Pose("standing", {}, yaw=yaw))
        figure = Figure(body, look, view, number=1)
        shown[yaw] = [name for name in COCO_17.names[:5] if is_judgeable(figure, name)]
    assert shown[0.0] == ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
    assert shown[90.0] == ["nose", "right_eye", "right_ear"]
    assert shown[180.0] == ["left_ear", "right_ear"]


def test_train_and_val_streams_never_meet():
    train = {scene_seed(seed, "train") for seed in range(50)}
    val = {scene_seed(seed, "val") for seed in range(50)}
    assert len(train) == len(val) == 50
    assert not train & val


@pytest.fixture(scope="module")
def small_dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    return folder, write_coco_dataset(folder, 3, seed=5, split="val", image_hw=(96, 96))


def test_pycocotools_reads_what_is_written(small_dataset, capsys):
    folder, path = small_dataset
    coco = COCO(str(path))
    assert path == folder / "annotations" / "person_keypoints_val2017.json"
    assert coco.getImgIds() == [1, 2, 3]
    category = coco.loadCats([1])[0]
    assert category["keypoints"] == list(COCO_17.names)
    assert [[a - 1, b - 1] for a, b in category["skeleton"]] == [
        [INDEX[a], INDEX[b]] for a, b in COCO_17.limbs
    ]
    for image_id in coco.getImgIds():
        scene = draw_scene(scene_seed(5, "val"), image_id - 1, (96, 96))
        entry = coco.loadImgs([image_id])[0]
        data = np.fromfile(folder / "val2017" / entry["file_name"], np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
        assert image is not None
        assert image.shape == (entry["height"], entry["width"], 3)
        # JPEG at quality 95 moves a noisy pixel by a few levels.
        assert np.abs(image.astype(int) - scene.image).mean() < 6
        annotations = coco.loadAnns(coco.getAnnIds([image_id]))
        for annotation, person in zip(annotations, scene.people, strict=True):
            rows = np.reshape(annotation["keypoints"], (17, 3))
            np.testing.assert_allclose(rows[:, :2], person.keypoints_xy, atol=0.006)
            np.testing.assert_array_equal(rows[:, 2], person.visibility)
            assert annotation["num_keypoints"] == np.count_nonzero(person.visibility)


def _contents(folder):
    """Maps every file below a folder to its bytes."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_an_interrupted_run_leaves_no_annotations_and_resumes_to_the_same_files(
    small_dataset, tmp_path
):
    def stop_at_second(numbers):
        yield numbers[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_coco_dataset(tmp_path, 3, 5, "val", (96, 96), progress=stop_at_second)
    assert [path.name for path in tmp_path.rglob("*.jpg")] == ["000000000001.jpg"]
    assert not list(tmp_path.rglob("person_keypoints*"))
    first = tmp_path / "val2017" / "000000000001.jpg"
    written_ns = first.stat().st_mtime_ns

    write_coco_dataset(tmp_path, 3, seed=5, split="val", image_hw=(96, 96))

    assert first.stat().st_mtime_ns == written_ns  # kept, not drawn again
    assert _contents(tmp_path) == _contents(small_dataset[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"num_images": 0}, "num_images must be at least 1, got 0", id="none"),
        pytest.param({"split": "test"}, "split must be one of .* got 'test'", id="split"),
        pytest.param({"seed": -1}, "seed must be 0 or more, got -1", id="seed"),
        pytest.param({"image_hw": (256, 20)}, r"at least 64.*\(256, 20\)", id="size"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_coco_dataset(tmp_path / "new", **{"num_images": 1} | arguments)
    assert not (tmp_path / "new").exists()


def test_a_folder_drawn_from_another_seed_is_refused(small_dataset):
    folder, _ = small_dataset
    before = _contents(folder)
    with pytest.raises(ValueError, match="cannot take others"):
        write_coco_dataset(folder, 3, seed=6, split="val", image_hw=(96, 96))
    assert _contents(folder) == before


def test_a_folder_of_foreign_pictures_is_refused(tmp_path):
    (tmp_path / "train2017").mkdir()
    (tmp_path / "train2017" / "000000000009.jpg").write_bytes(b"a real photo")
    with pytest.raises(ValueError, match="did not draw"):
        write_coco_dataset(tmp_path, 1)


def test_a_place_that_takes_no_files_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(PermissionError, match=r"Cannot write into .*file"):
        write_coco_dataset(blocked, 1)


def test_info_tells_version_and_seed(small_dataset):
    info = json.loads(small_dataset[1].read_text())["info"]
    assert info["seed"] == 5
    assert info["version"]
