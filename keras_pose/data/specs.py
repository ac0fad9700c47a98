"""The table of data sets: how each lies on disk, who is in it, what it is measured by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from keras_pose.data.readers import own_fields
from keras_pose.data.readers.aic import read_aic
from keras_pose.data.readers.coco import read_coco
from keras_pose.data.readers.flic import read_flic
from keras_pose.data.readers.h36m import read_h36m
from keras_pose.data.readers.lsp import read_lsp, read_lsp_extended
from keras_pose.data.readers.mpii import read_mpii
from keras_pose.data.readers.own_fields import Unpack
from keras_pose.data.readers.posetrack import read_posetrack
from keras_pose.data.readers.wflw import read_wflw
from keras_pose.data.records import PersonRecord
from keras_pose.skeleton import (
    AIC_14,
    COCO_17,
    COCO_WHOLEBODY_133,
    CROWDPOSE_14,
    FACE_68,
    FLIC_11,
    H36M_17,
    HALPE_26,
    HAND_21,
    JHMDB_15,
    LSP_14,
    MPII_16,
    POSETRACK_17,
    WFLW_98,
    Skeleton,
)

Reader = Callable[..., Sequence[PersonRecord]]


@dataclass(frozen=True)
class DatasetSpec:
    """One data set.

    Attributes:
        name: word for `--dataset`.
        skeleton: its keypoints.
        read: (annotation files, image folder, split, skeleton) -> records; without an
            image folder (None) of the annotations alone. Sets in COCO's format also take
            `reading`, see `readers.coco.Reading`.
        layouts: (annotation files, image folder), relative to the data set's folder, as
            archives unpack; a pattern with `*` finds many. {split} is our word for the
            split and {word} the set's own. The first that is there is read.
        splits: our words for the splits, and the set's own.
        metrics: keys of `metrics.METRICS` it is officially measured by.
        has_coco_file: True if the annotation file is also the ground truth for COCO AP.
        url: page that gives it out.
        files: names of the files to download, with sizes where they are known.
        terms: terms of use, in a few words.
        unpack: function that puts the file's annotations into COCO's form, see
            `readers.own_fields`; None where they are in it.
        people: official number of labelled people by split, as the reader counts them.
        note: advice to read before using it.
    """

    name: str
    skeleton: Skeleton
    read: Reader
    layouts: tuple[tuple[str, str], ...]
    splits: dict[str, str]
    metrics: tuple[str, ...]
    url: str = ""
    files: tuple[str, ...] = ()
    terms: str = ""
    has_coco_file: bool = False
    unpack: Unpack | None = None
    people: dict[str, int] = field(default_factory=dict)
    note: str = ""

    @property
    def default_dir(self) -> Path:
        return Path("data") / self.name


def _read_coco_like(paths, images, split, skeleton, **options):
    return read_coco(paths[0], images, skeleton, **options)


def _unpacking(unpack: Unpack, **options) -> dict:
    """Returns the fields of a set in COCO's format whose annotations are unpacked first."""
    read = partial(_read_coco_like, unpack=unpack, **options)
    return {"read": read, "unpack": unpack, "has_coco_file": True}


_read_around_points = partial(
    _read_coco_like, unpack=own_fields.around_points, expects_area=False
)


def _read_wflw_or_json(paths, images, split, skeleton, **options):
    if paths[0].suffix == ".txt":
        return read_wflw(paths[0], images)
    return _read_around_points(paths, images, split, skeleton, **options)


def _single(read):
    """Adapts a reader of one file that knows its skeleton."""
    return lambda paths, images, split, skeleton: read(paths[0], images, split)


_COCO_LAYOUTS = (
    ("annotations/person_keypoints_{split}2017.json", "{split}2017"),
    ("annotations/person_keypoints_{split}2017.json", "images/{split}2017"),
    ("person_keypoints_{split}2017.json", "{split}2017"),
    ("person_keypoints_{split}.json", "images"),
)
_TRAIN_VAL = {"train": "train", "val": "val"}
_TRAIN_TEST = {"train": "train", "val": "test"}
_WHOLEBODY_LAYOUTS = tuple(
    (f"{folder}coco_wholebody_{{split}}_v1.0.json", images)
    for folder in ("annotations/", "")
    for images in ("{split}2017", "images/{split}2017")
)
_WHOLEBODY_URL = "https://github.com/jin-s13/COCO-WholeBody"
_WHOLEBODY_FILES = (
    "coco_wholebody_train_v1.0.json and coco_wholebody_val_v1.0.json",
    "the images of COCO 2017 (see coco)",
)
_WHOLEBODY_TERMS = "annotations for research, not commercial"
_HAND_METRICS = ("auc_epe", "pck_box")
_AIC = "ai_challenger_keypoint_{word}/"
_POSETRACK_METRICS = ("posetrack_ap",)

_ROWS = (
    DatasetSpec(
        "coco",
        COCO_17,
        _read_coco_like,
        _COCO_LAYOUTS,
        _TRAIN_VAL,
        ("coco_ap",),
        "https://cocodataset.org/#download",
        (
            "http://images.cocodataset.org/zips/train2017.zip (18 GB)",
            "http://images.cocodataset.org/zips/val2017.zip (1 GB)",
            "http://images.cocodataset.org/annotations/annotations_trainval2017.zip "
            "(241 MB)",
        ),
        "annotations CC BY 4.0; images under their Flickr licences",
        has_coco_file=True,
        people={"train": 149_813, "val": 6_352},
        note="The counts are of people who can be used; crowds are left out.",
    ),
    DatasetSpec(
        "synthetic",
        COCO_17,
        _read_coco_like,
        _COCO_LAYOUTS,
        _TRAIN_VAL,
        ("coco_ap",),
        files=("nothing: training/make_synthetic.py draws it",),
        terms="none",
        has_coco_file=True,
    ),
    DatasetSpec(
        "mpii",
        MPII_16,
        _single(read_mpii),
        (
            ("annot/{word}.json", "images"),
            ("annot/{word}.h5", "images"),
            ("annotations/mpii_{split}.json", "images"),
            ("mpii_human_pose_v1_u12_2/mpii_human_pose_v1_u12_1.mat", "images"),
            ("mpii_human_pose_v1_u12_1.mat", "images"),
        ),
        {"train": "train", "val": "valid", "trainval": "trainval"},
        ("pckh",),
        "http://human-pose.mpi-inf.mpg.de",
        (
            "mpii_human_pose_v1.tar.gz (images, 12.9 GB)",
            "mpii_human_pose_v1_u12_2.zip (annotations, 12.5 MB)",
            "for the usual train and val splits: annot/{train,valid}.json and "
            "annot/gt_valid.mat, as the HRNet code's README links them",
        ),
        "Simplified BSD",
        people={"train": 22_246, "val": 2_958},
        note="PCKh needs head sizes: those of val are in gt_valid.mat beside valid.json.",
    ),
    DatasetSpec(
        "lsp",
        LSP_14,
        _single(read_lsp),
        (("joints.mat", "images"),),
        {"train": "first 1000", "val": "last 1000"},
        ("pck_torso",),
        "http://sam.johnson.io/research/lsp.html",
        ("lsp_dataset_original.zip (195 MB)",),
        "research",
        people={"train": 1_000, "val": 1_000},
        note="Our val is the set's test.",
    ),
    DatasetSpec(
        "lsp_extended",
        LSP_14,
        _single(read_lsp_extended),
        (("joints.mat", "images"), ("joints.npz", "images")),
        {"train": "19 of 20", "val": "every 20th", "all": "all"},
        ("pck_torso",),
        "http://sam.johnson.io/research/lspet.html",
        ("lspet_dataset.zip (232 MB)",),
        "research",
        people={"all": 10_000},
        note="For training only; its val is held out by us. Labels are noisy.",
    ),
    DatasetSpec(
        "flic",
        FLIC_11,
        _single(read_flic),
        (
            ("FLIC/examples.mat", "FLIC/images"),
            ("examples.mat", "images"),
            ("annot/{word}.h5", "images"),
            ("{word}.h5", "images"),
        ),
        {"train": "train", "val": "valid"},
        ("pck_torso",),
        "https://bensapp.github.io/flic-dataset.html",
        ("FLIC.zip (287 MB)",),
        "research",
        people={"train": 3_987, "val": 1_016},
        note="Our val is the set's test. Upper bodies only.",
    ),
    DatasetSpec(
        "h36m",
        H36M_17,
        _single(read_h36m),
        (
            ("annotation_body3d/fps10/h36m_{word}.npz", "images"),
            ("annotation_body3d/fps50/h36m_{word}.npz", "images"),
            ("annotations/h36m_{word}.json", "images"),
            ("h36m_{word}.npz", "images"),
            ("h36m_{word}.json", "images"),
        ),
        {"train": "train", "val": "test"},
        ("pixel_error",),
        "http://vision.imar.ro/human3.6m",
        ("videos and poses by subject, after registration (over 100 GB)",),
        "research, after registration",
        note="Frames and labels must have been extracted (mmpose's preprocess_h36m.py "
        "does it); the CDF files themselves are not read.",
    ),
    DatasetSpec(
        "posetrack18",
        POSETRACK_17,
        lambda paths, images, split, skeleton: read_posetrack(paths, images),
        (("annotations/{split}/*.json", "."),),
        _TRAIN_VAL,
        _POSETRACK_METRICS,
        "https://posetrack.net",
        ("images (posetrack18_images.tar.*)", "posetrack18_posetrack_public_annots.tar"),
        "CC BY-NC 4.0",
        note="Official: 593 videos to train on, 170 to validate.",
    ),
    DatasetSpec(
        "posetrack21",
        POSETRACK_17,
        lambda paths, images, split, skeleton: read_posetrack(paths, images),
        (("posetrack_data/{split}/*.json", "."),),
        _TRAIN_VAL,
        _POSETRACK_METRICS,
        "https://github.com/anDoer/PoseTrack21",
        ("by its download_dataset.py, with a token from the authors",),
        "research, token from the authors",
        note="Official: 593 videos to train on, 170 to validate.",
    ),
    DatasetSpec(
        "aic",
        AIC_14,
        lambda paths, images, split, skeleton: read_aic(paths[0], images),
        (
            (
                _AIC + "keypoint_train_annotations_20170909.json",
                _AIC + "keypoint_train_images_20170902",
            ),
            (
                _AIC + "keypoint_validation_annotations_20170911.json",
                _AIC + "keypoint_validation_images_20170911",
            ),
            (
                "annotations/aic_{split}.json",
                _AIC + "keypoint_{split}_images_20170902",
            ),
        ),
        {"train": "train_20170909", "val": "validation_20170911"},
        ("coco_ap",),
        "https://github.com/AIChallenger/AI_Challenger_2017",
        ("ai_challenger_keypoint_train_20170909.zip", "..._validation_20170911.zip"),
        "research",
        people={"train": 378_374},
    ),
    DatasetSpec(
        "crowdpose",
        CROWDPOSE_14,
        partial(_read_coco_like, check_names=False, area_of_box=0.53, expects_area=False),
        (
            ("json/crowdpose_{split}.json", "images"),
            ("annotations/crowdpose_{split}.json", "images"),
            ("annotations/mmpose_crowdpose_{split}.json", "images"),
        ),
        {split: split for split in ("train", "val", "test", "trainval")},
        ("crowdpose_ap",),
        "https://github.com/jeffffffli/CrowdPose",
        ("images.zip (2.2 GB)", "annotations (json)"),
        "research",
        has_coco_file=True,
        note="10,000, 2,000 and 8,000 images to train, validate and test on.",
    ),
    DatasetSpec(
        "jhmdb",
        JHMDB_15,
        partial(_read_coco_like, first_pixel=1, area_of_box=0.53, expects_area=False),
        (("annotations/Sub1_{word}.json", "."),),
        {"train": "train", "val": "test"},
        ("pck_torso",),
        "http://jhmdb.is.tue.mpg.de",
        ("Rename_Images.tar.gz", "labels as JSON: jhmdb_annotations of mmpose"),
        "research",
        note="Sub-JHMDB, split 1.",
    ),
    DatasetSpec(
        "ochuman",
        COCO_17,
        _read_coco_like,
        (("annotations/ochuman_coco_format_{split}_range_0.00_1.00.json", "images"),
         ("ochuman_coco_format_{split}_range_0.00_1.00.json", "images")),
        {"val": "val", "test": "test"},
        ("coco_ap",),
        "https://github.com/liruilong940607/OCHumanApi",
        ("images.zip (667 MB)", "ochuman_coco_format_*.json"),
        "research",
        has_coco_file=True,
        note="For measuring only.",
    ),
    DatasetSpec(
        "humanart",
        COCO_17,
        _read_coco_like,
        # Pictures are called as they lie beside the set's own folder, HumanArt.
        (("annotations/{word}_humanart_coco.json", ".."),
         ("HumanArt/annotations/{word}_humanart_coco.json", ".")),
        {"train": "training", "val": "validation"},
        ("coco_ap",),
        "https://github.com/IDEA-Research/HumanArt",
        ("HumanArt.zip", "{training,validation}_humanart_coco.json"),
        "research",
        has_coco_file=True,
        note="Painted, drawn and sculpted people, and photographs; keypoints as COCO's.",
    ),
    DatasetSpec(
        "coco_wholebody",
        COCO_WHOLEBODY_133,
        layouts=_WHOLEBODY_LAYOUTS,
        splits=_TRAIN_VAL,
        metrics=("wholebody_ap",),
        url=_WHOLEBODY_URL,
        files=_WHOLEBODY_FILES,
        terms=_WHOLEBODY_TERMS,
        note="Body, feet, face and hands; a part counts where its valid flag is set.",
        **_unpacking(own_fields.whole_body),
    ),
    DatasetSpec(
        "coco_wholebody_hand",
        HAND_21,
        layouts=_WHOLEBODY_LAYOUTS,
        splits=_TRAIN_VAL,
        metrics=_HAND_METRICS,
        url=_WHOLEBODY_URL,
        files=_WHOLEBODY_FILES,
        terms=_WHOLEBODY_TERMS,
        note="Each valid hand of coco_wholebody in its own box, left and right alike.",
        **_unpacking(own_fields.hands, expects_area=False),
    ),
    DatasetSpec(
        "coco_wholebody_face",
        FACE_68,
        layouts=_WHOLEBODY_LAYOUTS,
        splits=_TRAIN_VAL,
        metrics=("nme_interocular",),
        url=_WHOLEBODY_URL,
        files=_WHOLEBODY_FILES,
        terms=_WHOLEBODY_TERMS,
        note="Each valid face of coco_wholebody in its own box.",
        **_unpacking(own_fields.faces, expects_area=False),
    ),
    DatasetSpec(
        "halpe26",
        HALPE_26,
        layouts=(
            ("annotations/halpe_{split}_v1.json", "{word}"),
            ("annotations/halpe_{split}_v1.json", "images/{word}"),
            ("halpe_{split}_v1.json", "{word}"),
        ),
        splits={"train": "hico_20160224_det/images/train2015", "val": "val2017"},
        metrics=("coco_ap",),
        url="https://github.com/Fang-Haoshu/Halpe-FullBody",
        files=(
            "halpe_train_v1.json and halpe_val_v1.json",
            "images of HICO-DET (train) and of COCO val2017 (val)",
        ),
        terms="annotations for research, not commercial",
        note="The first 26 of 136 keypoints: body, head top, neck, pelvis, feet.",
        **_unpacking(own_fields.halpe_26),
    ),
    DatasetSpec(
        "onehand10k",
        HAND_21,
        partial(_read_coco_like, check_names=False, expects_area=False),
        (("annotations/onehand10k_{word}.json", "."),),
        _TRAIN_TEST,
        _HAND_METRICS,
        "https://www.yangangwang.com/papers/WANG-MCC-2018-10.html",
        ("OneHand10K.zip, on request", "labels as JSON: onehand10k_annotations of mmpose"),
        "research, on request",
        has_coco_file=True,
        note="Our val is the set's test.",
    ),
    DatasetSpec(
        "freihand",
        HAND_21,
        layouts=(("annotations/freihand_{split}.json", "."),),
        splits={split: split for split in ("train", "val", "test")},
        metrics=_HAND_METRICS,
        url="https://lmb.informatik.uni-freiburg.de/projects/freihand",
        files=(
            "FreiHAND_pub_v2.zip (3.7 GB)",
            "labels as JSON: freihand_annotations of mmpose",
        ),
        terms="research, not commercial",
        note="Its splits are mmpose's shares of the set's training part. A hand's box is "
        "the picture.",
        **_unpacking(own_fields.whole_picture, expects_area=False),
    ),
    DatasetSpec(
        "300w",
        FACE_68,
        layouts=(("annotations/face_landmarks_300w_{word}.json", "images"),),
        splits={"train": "train", "val": "valid", "test": "test"},
        metrics=("nme_interocular",),
        url="https://ibug.doc.ic.ac.uk/resources/300-W",
        files=("300w.zip (2.6 GB)", "labels as JSON: 300w_annotations of mmpose"),
        terms="research, not commercial",
        note="Boxes are put around the points, 1.2 times as large.",
        **_unpacking(own_fields.around_points, expects_area=False),
    ),
    DatasetSpec(
        "wflw",
        WFLW_98,
        _read_wflw_or_json,
        (
            (
                "WFLW_annotations/list_98pt_rect_attr_train_test/"
                "list_98pt_rect_attr_{word}.txt",
                "WFLW_images",
            ),
            ("annotations/face_landmarks_wflw_{word}.json", "images"),
        ),
        _TRAIN_TEST,
        ("nme_interocular",),
        "https://wywu.github.io/projects/LAB/WFLW.html",
        ("WFLW_images.tar.gz", "WFLW_annotations.tar.gz"),
        "research",
        people={"train": 7_500, "val": 2_500},
        note="Our val is the set's test. The lists have faces' boxes; with mmpose's JSON "
        "they are put around the points.",
    ),
)  # fmt: skip

SPECS = {spec.name: spec for spec in _ROWS}
