"""The table of data sets: how each lies on disk, who is in it, what it is measured by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from keras_pose.data.readers.aic import read_aic
from keras_pose.data.readers.coco import read_coco
from keras_pose.data.readers.flic import read_flic
from keras_pose.data.readers.h36m import read_h36m
from keras_pose.data.readers.lsp import read_lsp, read_lsp_extended
from keras_pose.data.readers.mpii import read_mpii
from keras_pose.data.readers.posetrack import read_posetrack
from keras_pose.data.records import PersonRecord
from keras_pose.skeleton import (
    AIC_14,
    COCO_17,
    CROWDPOSE_14,
    FLIC_11,
    H36M_17,
    JHMDB_15,
    LSP_14,
    MPII_16,
    POSETRACK_17,
    Skeleton,
)

Reader = Callable[..., Sequence[PersonRecord]]


@dataclass(frozen=True)
class DatasetSpec:
    """One data set.

    Attributes:
        name: as given to --dataset.
        skeleton: its keypoints.
        read: (annotation files, image folder, split, skeleton) -> records; without an
            image folder (None) of the annotations alone. Sets in COCO's format also take
            `reading`, see `readers.coco.Reading`.
        layouts: (annotation files, image folder), relative to the data set's folder, as
            archives unpack; a pattern with `*` finds many. {split} is our word for the
            split and {word} the set's own. The first that is there is read.
        splits: our words for the splits, and the set's own.
        metrics: keys of `metrics.METRICS` it is officially measured by.
        has_coco_file: whether the annotation file is also the ground truth for COCO AP.
        url: where it is given out.
        files: what to download, with sizes where they are known.
        terms: in a few words.
        people: official number of labelled people by split, as the reader counts them.
        note: what one must know before using it.
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
    people: dict[str, int] = field(default_factory=dict)
    note: str = ""

    @property
    def default_dir(self) -> Path:
        return Path("data") / self.name


def _read_coco_like(paths, images, split, skeleton, **options):
    return read_coco(paths[0], images, skeleton, **options)


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
)  # fmt: skip

SPECS = {spec.name: spec for spec in _ROWS}
