import dataclasses
import json

import numpy as np
import pytest
from PIL import Image
from says import Says

from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.pose import Contract
from keras_pose.data.records import PersonRecord
from keras_pose.metrics import evaluate
from keras_pose.pictures.geometry import box_to_crop, crop_matrix, transform_points
from keras_pose.pictures.images import ImageError
from keras_pose.runtime.top_down_steps import person_scores
from keras_pose.skeleton import COCO_17, H36M_17, MPII_16, Skeleton

CODEC = GaussianHeatmapCodec((128, 96))


def make_contract(skeleton=COCO_17):
    num_keypoints = skeleton.num_keypoints
    return Contract(
        model="oracle",
        input=TensorSpec("image", (1, 128, 96, 3), "uint8"),
        output=TensorSpec("heatmaps", (1, 32, 24, num_keypoints), "float32"),
        codec=CODEC,
        skeleton=skeleton,
    )


CONTRACT = make_contract()


def make_records(folder, num_images=3, people_per_image=2):
    rng = np.random.default_rng(seed=0)
    records = []
    for image_id in range(num_images):
        path = folder / f"{image_id}.png"
        Image.fromarray(rng.integers(0, 255, (200, 300, 3), np.uint8)).save(path)
        for person in range(people_per_image):
            box_xywh = np.array([20.0 + 140 * person, 30.0, 90.0, 130.0])
            records.append(
                PersonRecord(
                    image_path=path,
                    image_id=image_id,
                    annotation_id=len(records),
                    box_xywh=box_xywh,
                    keypoints_xy=rng.uniform(box_xywh[:2] + 10, box_xywh[:2] + 80, (17, 2)),
                    visibility=np.full(17, 2),
                    area=8000.0,
                )
            )
    return records


def make_truth(records):
    annotations = [
        {
            "id": record.annotation_id + 1,
            "image_id": record.image_id,
            "category_id": 1,
            "bbox": record.box_xywh.tolist(),
            "area": record.area,
            "iscrowd": 0,
            "keypoints": np.c_[record.keypoints_xy, record.visibility].ravel().tolist(),
        }
        for record in records
    ]
    return {
        "images": [{"id": image_id} for image_id in {r.image_id for r in records}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }


class Oracle:
    """Predicts the labels themselves, in the order of the records."""

    def __init__(self, records):
        boxes = np.stack([record.box_xywh for record in records])
        center_xy, size_wh = box_to_crop(boxes, CODEC.input_hw)
        matrices = crop_matrix(center_xy, size_wh[:, 0], CODEC.input_hw)
        labels = np.stack([record.keypoints_xy for record in records])
        visibility = np.stack([record.visibility for record in records])
        self._heatmaps, _ = CODEC.encode(transform_points(matrices, labels), visibility)
        self._next = 0
        self.batch_sizes = []

    def __call__(self, crops):
        assert crops.dtype == np.uint8
        assert crops.shape[1:] == (128, 96, 3)
        self.batch_sizes.append(len(crops))
        self._next += len(crops)
        return self._heatmaps[self._next - len(crops) : self._next]


def test_the_labels_themselves_score_one_and_batches_reach_across_images(tmp_path):
    records = make_records(tmp_path)
    oracle = Oracle(records)

    result = evaluate(
        oracle, CONTRACT, records, make_truth(records), batch_size=4, progress=False
    )

    # A heatmap pixel is 4 x 122 / 96 = 5 image pixels here. Rounding to it leaves at
    # most half of that, which costs the face keypoints but keeps OKS above 0.75.
    assert result.stats["AP75"] == pytest.approx(1)
    assert oracle.batch_sizes == [4, 2]
    assert (result.num_images, result.num_people) == (3, 6)
    assert len(result.detections) == 6
    assert 0 < result.predict_seconds < result.total_seconds


def test_a_model_that_finds_nothing_scores_zero(tmp_path):
    records = make_records(tmp_path)

    def blank(crops):
        return np.zeros((len(crops), 32, 24, 17), np.float32)

    result = evaluate(blank, CONTRACT, records, make_truth(records), progress=False)

    assert result.stats["AP"] == 0


def test_flip_test_also_predicts_the_mirrored_crops(tmp_path):
    records = make_records(tmp_path, num_images=1, people_per_image=1)
    seen = []

    def predict(crops):
        seen.append(crops)
        return np.zeros((len(crops), 32, 24, 17), np.float32)

    result = evaluate(
        predict, CONTRACT, records, make_truth(records), flip_test=True, progress=False
    )

    assert result.flip_test
    np.testing.assert_array_equal(seen[1], seen[0][:, :, ::-1])


def test_two_predictions_of_one_person_count_once(tmp_path):
    records = make_records(tmp_path, num_images=1, people_per_image=1) * 2

    result = evaluate(
        Oracle(records), CONTRACT, records, make_truth(records[:1]), progress=False
    )

    assert len(result.detections) == 1


def test_a_file_serves_as_ground_truth(tmp_path):
    records = make_records(tmp_path, num_images=1)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(make_truth(records)))

    result = evaluate(Oracle(records), CONTRACT, records, path, progress=False)

    assert result.stats["AP50"] == pytest.approx(1)


def must_not_run(crops):
    raise AssertionError("The model ran before the check.")


def test_keypoints_of_another_data_set_are_refused(tmp_path):
    records = make_records(tmp_path, num_images=1)

    says = Says(
        "keypoints, the data set has",
        do="Name the skeleton of the data: --skeleton FILE, or another --dataset.",
    )
    with says.refuses(ValueError):
        evaluate(must_not_run, make_contract(MPII_16), records, make_truth(records))


def test_as_many_keypoints_in_another_order_are_refused(tmp_path):
    records = make_records(tmp_path, num_images=1)
    says = Says(
        "The model predicts the keypoints of ..., the data set has those of",
        do="Measure the model on a set with its keypoints.",
    )
    with says.refuses(ValueError):
        evaluate(must_not_run, CONTRACT, records, make_truth(records), skeleton=H36M_17)


def test_a_model_of_more_keypoints_is_measured_by_name(tmp_path):
    records = make_records(tmp_path)
    order = np.random.default_rng(1).permutation(17)
    names = [COCO_17.names[i] for i in order]
    union = Skeleton("union", ("head_top", *names, "neck"))  # no sigmas of its own
    oracle = Oracle(records)

    def predict(crops):
        heatmaps = oracle(crops)
        blank = np.zeros_like(heatmaps[..., :1])
        return np.concatenate([blank, heatmaps[..., order], blank], axis=-1)

    truth = make_truth(records)
    result = evaluate(
        predict, make_contract(union), records, truth, skeleton=COCO_17, progress=False
    )
    expected = evaluate(Oracle(records), CONTRACT, records, truth, progress=False)
    assert result.stats == expected.stats
    assert result.detections == expected.detections


def test_flip_test_needs_mirror_pairs(tmp_path):
    records = make_records(tmp_path, num_images=1)
    skeleton = dataclasses.replace(COCO_17, mirrored=())

    says = Says(
        "A flip test needs to know which keypoints a mirror exchanges",
        do="Leave --flip-test out, or give the skeleton mirrored pairs.",
    )
    with says.refuses(ValueError):
        evaluate(must_not_run, make_contract(skeleton), records, {}, flip_test=True)


def test_nobody_to_evaluate_on_is_an_error():
    with pytest.raises(ValueError, match="records is empty"):
        evaluate(must_not_run, CONTRACT, [], {})


class PixelOracle(Oracle):
    """Predicts the label of whom a crop shows, by the grey level of their image."""

    def __call__(self, crops):
        levels = crops[:, 40, 40, 0]
        return np.stack([self._heatmaps[level] for level in levels])


def test_figures_stand_on_the_images_that_can_be_read(tmp_path):
    records = make_records(tmp_path, num_images=4, people_per_image=1)
    for i, record in enumerate(records):
        Image.new("RGB", (300, 200), (i, i, i)).save(record.image_path)
    truth = make_truth(records)
    cut = records[1].image_path
    cut.write_bytes(cut.read_bytes()[:60])
    records[3].image_path.unlink()

    with pytest.warns(UserWarning, match=r"2 images could not be read.*1\.png"):
        result = evaluate(PixelOracle(records), CONTRACT, records, truth, progress=False)

    assert result.stats["AP"] == pytest.approx(1)
    assert (result.num_images, result.num_people) == (2, 2)
    assert result.left_out == ("1.png", "3.png")
    assert [entry["image_id"] for entry in result.detections] == [0, 2]


def test_no_readable_image_at_all_is_an_error(tmp_path):
    records = make_records(tmp_path, num_images=1)
    records[0].image_path.unlink()
    with (
        pytest.warns(UserWarning, match="1 images could not be read"),
        pytest.raises(ImageError, match=r"None of the 1 images .*0\.png does not exist"),
    ):
        evaluate(must_not_run, CONTRACT, records, make_truth(records), progress=False)


def test_people_are_cut_out_of_the_pixels_that_their_labels_are_on(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    (stored,) = make_records(tmp_path, num_images=1, people_per_image=1)
    half = np.zeros((200, 300, 3), np.uint8)
    half[:, :150] = 200
    Image.fromarray(half).save(stored.image_path, exif=exif)
    turned = dataclasses.replace(stored, image_hw=(200, 300))
    seen = []

    def look(crops):
        seen.append(crops.mean() > 100)
        return np.zeros((len(crops), 32, 24, 17), np.float32)

    for record in (stored, turned):
        evaluate(look, CONTRACT, [record], make_truth([stored]), progress=False)
    assert seen == [True, False]  # the box is on the left, which is lit as it is stored


def test_keypoint_scores_that_are_no_numbers_do_not_count():
    np.testing.assert_allclose(person_scores([1.0], [[np.nan, 0.5, 0.1]]), [0.5])


def test_soft_and_no_nms_leave_twins_in(tmp_path):
    records = make_records(tmp_path, num_images=1, people_per_image=1) * 2
    for nms, expected in (("hard", 1), ("soft", 2), ("off", 2)):
        result = evaluate(
            Oracle(records),
            CONTRACT,
            records,
            make_truth(records[:1]),
            nms=nms,
            progress=False,
        )
        assert (result.nms, len(result.detections)) == (nms, expected)


def test_metrics_that_do_not_rank_people_go_without_nms_and_ground_truth_file(tmp_path):
    records = make_records(tmp_path)
    result = evaluate(
        Oracle(records), CONTRACT, records, metrics=["pixel_error"], progress=False
    )
    assert result.nms == "off"
    # Half a heatmap pixel, on both axes, is 2.5 image pixels each.
    assert 0 < result.stats["pixel_error"] < 2.5 * np.sqrt(2)
    assert set(result.tables["pixel error"]) == set(COCO_17.names)


def test_detected_boxes_without_labels_are_measured_against_the_labelled(tmp_path):
    records = make_records(tmp_path)
    detected = [
        dataclasses.replace(record, visibility=np.zeros(17), keypoints_xy=np.zeros((17, 2)))
        for record in records
    ]
    result = evaluate(
        Oracle(records),
        CONTRACT,
        detected,
        make_truth(records),
        labelled=records,
        progress=False,
    )
    assert result.stats["AP75"] == pytest.approx(1)
    assert "keypoint similarity" not in result.tables  # there is no one-to-one


@pytest.mark.parametrize(
    ("skeleton", "options", "message"),
    [
        (COCO_17, {"nms": "none"}, "known: hard, soft, off"),
        (COCO_17, {"metrics": ["oks"]}, "known: coco_ap"),
        (
            dataclasses.replace(COCO_17, oks_sigmas=()),
            {"metrics": ["coco_ap"]},
            "choose another metric",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_before_predicting(
    tmp_path, skeleton, options, message
):
    records = make_records(tmp_path, num_images=1)
    with pytest.raises(ValueError, match=message):
        evaluate(must_not_run, make_contract(skeleton), records, {}, **options)


@pytest.mark.parametrize(
    ("metric", "changes", "message"),
    [
        (
            "pckh",
            {"head_size": None},
            Says(
                "PCKh needs the field 'head_size' of every person",
                do="Measure a set with head boxes (MPII, PoseTrack), or by pck_box.",
            ),
        ),
        (
            "posetrack_ap",
            {"head_size": None},
            Says(
                "PoseTrack AP needs the field",
                do="Measure PoseTrack's own files, or by coco_ap.",
            ),
        ),
        (
            "mota",
            {"track_id": None},
            Says(
                "MOTA needs the field 'track_id'",
                do="Give people, and each of a tracker's --boxes, a track_id.",
            ),
        ),
        (
            "mota",
            {"track_id": 7},
            Says(
                "A track is in a frame once; image id",
                do="Give two people of one frame two track_ids.",
            ),
        ),
        (
            "crowdpose_ap",
            {},
            Says(
                "needs a crowdIndex for every image; image id",
                do="Measure CrowdPose's own files, or by coco_ap.",
            ),
        ),
    ],
)
def test_what_people_lack_is_told_before_predicting(tmp_path, metric, changes, message):
    fields = {"head_size": 10.0} | changes
    records = [
        dataclasses.replace(record, **({"track_id": i} | fields))
        for i, record in enumerate(make_records(tmp_path, num_images=1))
    ]
    with message.refuses(ValueError):
        evaluate(must_not_run, CONTRACT, records, make_truth(records), metrics=[metric])


def test_labels_of_other_keypoints_are_told_before_predicting(tmp_path):
    records = make_records(tmp_path, num_images=1)
    truth = make_truth(records)
    truth["annotations"][0]["keypoints"] = [1, 2, 2] * 5
    says = Says(
        "Annotation of image id ... keypoints (three numbers each), there are OKS sigmas",
        do="Give the skeleton of these annotations: --skeleton FILE.",
    )
    with says.refuses(ValueError):
        evaluate(must_not_run, CONTRACT, records, truth)


def test_a_detectors_boxes_are_told_before_predicting(tmp_path):
    records = make_records(tmp_path, num_images=1)
    detected = [dataclasses.replace(record, score=0.5) for record in records]
    says = Says(
        "in their own box; with a detector's boxes there is none",
        do="Leave --boxes or --detector out, or measure by coco_ap.",
    )
    with says.refuses(ValueError):
        evaluate(must_not_run, CONTRACT, detected, metrics=["pck_box"], labelled=records)
